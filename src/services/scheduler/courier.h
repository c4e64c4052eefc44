// Courier: brings one run to its target, and what could not be brought to the dead-letter queue.
//
// Loop thread; owned by Scheduler.
#pragma once

#include "api/calls.h"
#include "base/random.h"
#include "events/switchboard.h"
#include "services/scheduler/rows.h"

namespace mayfly::services::scheduler {

// What gets an ERROR_CODE: the code of the target's own API.
struct Failure {
  std::string code;
  std::string message;
  bool final = false;        // no later attempt can go better
  bool of_function = false;  // the target was a function that ran and failed
  bool throttled = false;    // the target has too much to do
};

// What is counted for metrics (EventBridge Scheduler user guide, "Monitoring … with CloudWatch").
enum class Step {
  attempted,           // to invoke a target
  target_error,        // an attempt that failed
  throttled,           // … as the target had too much to do
  dropped,             // runs that were given up
  dead_lettered,       // of these, those that went to a dead-letter queue
  dead_letter_failed,  // … or could not
};
std::string_view name_of(Step step);
using CountStep = std::function<void(const GroupRef& group, Step step)>;

class Courier {
 public:
  Courier(const events::Switchboard& switchboard, api::Calls& calls)
      : switchboard_(switchboard), calls_(calls) {}

  // nullopt: the target has it.
  io::Task<std::optional<Failure>> deliver(Run run, Target target) const;
  // `exhausted` names the bound of the retry policy that was reached, or is empty.
  io::Task<Result<>> bury(Run run, Target target, Failure failure, std::string exhausted) const;

 private:
  io::Task<std::optional<Failure>> call(Run run, Target target, UniversalTarget universal) const;

  const events::Switchboard& switchboard_;
  api::Calls& calls_;
};

// What goes to the target: its input with the context attributes filled in, or the notification
// that stands for none.
std::string payload_of(const Run& run, const Target& target);

}  // namespace mayfly::services::scheduler
