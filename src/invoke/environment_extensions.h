// EnvironmentExtensions: the extensions of one execution environment through its life: external
// ones are started before the runtime, all are waited for in Init, told of each call, and given
// time to end in Shutdown; and what they hear by the Telemetry API. Developer guide, "Lambda
// Extensions API" and "Lambda execution environment lifecycle".
//
//   Init      companions of the jail start → each external one registers → the program starts
//             → it asks for its first event → every extension has asked for its next
//   Invoke    INVOKE to who wants it; the environment is free when all have asked again
//   Shutdown  SIGTERM to the program, SIGKILL after its share of the time → SHUTDOWN to external
//             ones that want it → the rest of the time → the jail is killed
//
// Owned by Environment, one for each jail; loop thread; close() before destruction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/extensions.h"
#include "invoke/environment_log.h"
#include "invoke/failure.h"
#include "invoke/invoker.h"
#include "invoke/telemetry_feed.h"

namespace mayfly::invoke {

// What of a jail's specification they change.
void put_companions(sandbox::Spec& spec, const Runnable& runnable);

class EnvironmentExtensions {
 public:
  EnvironmentExtensions(const Deps& deps, const Runnable& runnable, EnvironmentLog& log);

  const std::vector<std::string>& external() const { return external_; }

  // The jail is there, and whoever may serve its port. `port` is empty where the channel does.
  void attach(sandbox::Instance& instance, guest::GuestChannel& channel);
  void serve(io::Fd port, std::vector<io::Fd> sockets);

  // --- Init. An Error: `timeout`, or why the environment is broken (see cause()) ---
  io::Task<Result<>> start(Deadline deadline);       // and then the program
  io::Task<Result<>> initialise(Deadline deadline);  // after the program
  void end_init();                                   // however it went: their states go to the log

  // --- Invoke ---
  void invoke(const guest::InvokeRequest& event);
  bool take_part() const { return api_.any_for_invoke(); }
  // Some are at work still.
  bool at_work() const { return api_.any_for_invoke() && !api_.all_ready(); }
  io::Task<Result<>> wait_idle(Deadline deadline) { return api_.wait_ready(deadline); }

  // --- Shutdown: answers when they have ended or have had their time ---
  bool any() const { return api_.any(); }
  io::Task<void> shut_down(std::string_view reason);
  void jail_gone();
  io::Task<void> close();

  // The program or an extension has ended, or has given up: no further call runs here.
  bool broken() const { return broken_.is_set(); }
  io::Task<io::Wake> wait_broken() { return broken_.wait(); }
  // Why, if it is so before the deadline, or the extensions have nothing to do with it.
  io::Task<std::optional<Failure>> cause(Deadline deadline);

  // Whether events of the platform are worth their making.
  bool hears() const { return feed_.hears(); }
  void tell(std::string event, EventForm form = EventForm::both) {
    feed_.platform(std::move(event), form);
  }

 private:
  io::Task<void> watch();
  void on_end(const sandbox::ProcessEnd& end);
  io::Task<void> end_program(Deadline deadline);
  void on_subscribed(guest::TelemetryForm form, const std::string& name,
                     const std::vector<std::string>& types);
  void log_platform(std::string_view text, std::string event);

  const Deps& deps_;
  const Runnable& runnable_;
  EnvironmentLog& log_;
  std::vector<std::string> external_;
  TelemetryFeed feed_;
  guest::ExtensionApi api_;
  sandbox::Instance* instance_ = nullptr;
  bool program_started_ = false;
  bool closing_ = false;
  bool logged_ = false;
  std::optional<sandbox::ProcessEnd> program_end_;
  io::Event program_gone_;  // or the whole jail
  io::Event broken_;
  io::TaskScope watchers_;
};

}  // namespace mayfly::invoke
