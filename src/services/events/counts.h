// What is counted for metrics (EventBridge user guide, "Monitoring Amazon EventBridge").
#pragma once

#include <functional>
#include <string_view>

#include "services/events/names.h"

namespace mayfly::services::bus {

enum class Step {
  published,           // events put on a bus
  matched,             // those that a rule of it matches
  triggered,           // a rule, by an event or by its schedule
  invoked,             // a target, with success or for good without; attempts are not counted apart
  retried,             // an attempt that was not the first
  throttled,           // an attempt that was refused as it came too early
  failed,              // a target that did not get its event in the end
  dead_lettered,       // events that went to a dead-letter queue
  dead_letter_failed,  // … or could not
};
std::string_view name_of(Step step);

// Absent functions count nothing.
struct Counts {
  // `rule`: its name; empty for published and matched.
  std::function<void(const BusRef& bus, std::string_view rule, Step step)> count{};
  // From an event's arrival to the first attempt at a target.
  std::function<void(const BusRef& bus, double seconds)> started{};

  void add(const BusRef& bus, std::string_view rule, Step step) const {
    if (count) count(bus, rule, step);
  }
};

}  // namespace mayfly::services::bus
