// TargetInput: what a target of a rule is sent for an event: the event, a part of it, a constant,
// or what a template makes of it (EventBridge user guide, "Amazon EventBridge input
// transformation").
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "services/events/bus_event.h"
#include "services/events/records.h"

namespace mayfly::services::bus {

// Whatever is wrong with Input, InputPath and InputTransformer of a target, as ValidationException.
ApiResult<void> check_input(const model::Target& target);

struct RuleNames {
  std::string_view arn;
  std::string_view name;
  std::int64_t ingested_ms = 0;
};
// Kind invalid: what comes out is no JSON.
Result<std::string> input_of(const model::Target& target, const BusEvent& event,
                             const RuleNames& rule);

}  // namespace mayfly::services::bus
