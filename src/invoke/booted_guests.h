// BootedGuests: guests that have booted without a function, in the jails of environments, and wait
// to become one: for runtimes that boot slowly and cannot be forked (Java). A guest is for one
// memory size, which it is told at its start. They are made one at a time, in the background, once
// a function of the runtime and the size has started, and again when one was taken; two where two
// were taken in quick succession. What nobody takes ends as idle environments do; the least used
// ends earlier where memory is short.
//
// Owned by Templates. Loop thread; close() before destruction.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "invoke/invoker.h"

namespace mayfly::invoke {

// It has parked: its channel has said so.
struct BootedGuest {
  std::unique_ptr<sandbox::Instance> instance;
  std::unique_ptr<guest::GuestChannel> channel;
  std::uint64_t memory_bytes = 0;
  // Of its kind; an environment that it could not become counts.
  std::shared_ptr<int> failures;
};

class BootedGuests {
 public:
  BootedGuests(const Deps& deps, std::uint64_t memory_max_bytes);
  BootedGuests(const BootedGuests&) = delete;
  BootedGuests& operator=(const BootedGuests&) = delete;

  // To make an environment of this function from, or null.
  std::unique_ptr<BootedGuest> take(const Runnable& runnable, const sandbox::RuntimePack& pack);
  // An environment of it has started.
  void want(const Runnable& runnable, const sandbox::RuntimeChoice& runtime);

  int ready() const;
  int waiting() const;  // asked for, being made too
  void refuse();        // makes none any more
  void kill_all();
  io::Task<void> close();

 private:
  struct Kind {
    sandbox::RuntimeChoice runtime;
    int memory_mb = 0;
    std::vector<std::unique_ptr<BootedGuest>> ready;
    std::size_t wanted = 1;
    bool asked = false;  // for another one, which is not there yet
    MonoTime used{};
    std::optional<MonoTime> taken;
    std::shared_ptr<int> failures = std::make_shared<int>(0);
  };
  using Key = std::pair<std::string, int>;  // name of the pack, memory size

  static Key key_of(const Runnable& runnable, const sandbox::RuntimePack& pack);
  void ask(const std::shared_ptr<Kind>& kind);
  void boot_next();
  io::Task<void> boot(std::shared_ptr<Kind> kind);
  io::Task<Result<std::unique_ptr<BootedGuest>>> make(const Kind& kind);
  void forget_ended(Kind& kind);
  void keep_within_memory(const Kind& newest);
  void end(std::unique_ptr<BootedGuest> guest);
  io::Task<void> end_task(std::unique_ptr<BootedGuest> guest);
  void end_ready(Kind& kind);
  void arm_sweep();
  void sweep();

  const Deps& deps_;
  std::uint64_t memory_max_bytes_;
  std::map<Key, std::shared_ptr<Kind>> kinds_;
  std::deque<std::shared_ptr<Kind>> queue_;
  bool making_ = false;
  sandbox::Instance* booting_ = nullptr;
  bool closing_ = false;
  std::optional<io::Loop::TimerId> sweep_timer_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::invoke
