// Template: a guest that has booted, has run the function's init, and parks; execution environments
// are forks of it. A generic one has booted without any function.
//
// Owned by Templates, and by every environment forked from it, since the jails of forks lie below
// its own and end with it. Loop thread. end() must have finished before destruction.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "guest/extensions.h"
#include "invoke/environment_log.h"
#include "invoke/environment_spec.h"
#include "invoke/failure.h"
#include "invoke/invoker.h"

namespace mayfly::invoke {

class Template {
 public:
  // A generic one takes only the memory size from `runnable`.
  Template(const Deps& deps, LogBuffer& buffer, TemplateKind kind,
           std::shared_ptr<const Runnable> runnable, sandbox::RuntimeChoice runtime);
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  // Boots it and waits until it has parked. An error tells why it cannot be used: the guest's own
  // reason (kind `conflict`), or what went wrong.
  io::Task<Result<>> park(Deadline deadline);
  // Whether it can be forked now.
  bool parked() const { return parked_; }
  TemplateKind kind() const { return kind_; }
  // A jail with a fork in it.
  Result<std::unique_ptr<sandbox::Instance>> fork(const Runnable& runnable,
                                                  std::string_view log_stream, InstanceId id);
  // Why its init failed, where park() failed for that.
  const std::optional<Failure>& init_failure() const { return init_failure_; }
  // Memory that its environments share.
  std::uint64_t memory_bytes() const { return memory_bytes_; }
  // A line in the function's log: why its environments start one by one.
  void tell(std::string_view text);

  // Ends the guest, not the forks. Idempotent.
  void retire();
  // Ends all of it, forks as well.
  void kill();
  // Waits until the last fork is gone too.
  io::Task<void> end();

 private:
  io::Task<Result<>> launch_and_wait(Deadline deadline);
  io::Task<Failure> find_cause(const Error& error);
  io::Task<void> watch();
  io::Task<void> watch_guest();

  const Deps& deps_;
  TemplateKind kind_;
  std::shared_ptr<const Runnable> runnable_;
  sandbox::RuntimeChoice runtime_;
  std::optional<EnvironmentLog> log_;  // of a function
  io::Fd output_;                      // a generic guest says nothing; its pipes stay open
  io::Fd framed_;
  std::unique_ptr<sandbox::Instance> instance_;
  std::unique_ptr<guest::GuestChannel> channel_;
  // Of a function: what registers at its init is of one environment, and cannot be forked.
  std::unique_ptr<guest::ExtensionApi> extensions_;
  std::optional<std::uint64_t> endpoint_;
  io::TaskScope watchers_;
  io::Event gone_;
  std::optional<Failure> init_failure_;
  sandbox::Exit exit_;
  bool parked_ = false;
  bool retired_ = false;
  std::uint64_t memory_bytes_ = 0;
};

}  // namespace mayfly::invoke
