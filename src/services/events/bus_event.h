// BusEvent: one event as rules and targets see it (EventBridge user guide, "Event structure").
//
//   {"version":"0","id":UUID,"detail-type":…,"source":…,"account":…,"time":"2026-01-02T03:04:05Z",
//    "region":…,"resources":[…],"detail":{…}}                       and perhaps "replay-name"
//
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "wire/json.h"

namespace mayfly::services::bus {

struct EventParts {
  std::string id;
  std::string_view detail_type;
  std::string_view source;
  Scope scope;
  std::int64_t time_ms = 0;
  std::vector<std::string_view> resources{};
  std::string_view detail = "{}";  // a JSON object; its bytes stay as they are
};

struct BusEvent {
  std::string text;
  wire::Json json;
  std::string_view id() const { return json.string_or("id"); }
};

// Kind invalid: the detail is no JSON object, or nested too deep.
Result<BusEvent> make_event(const EventParts& parts);
// From its text; kind invalid: it is no JSON object.
Result<BusEvent> read_event(std::string text);
// The same event as a replay gives it to rules.
BusEvent replayed(std::string text, std::string_view replay_name);

}  // namespace mayfly::services::bus
