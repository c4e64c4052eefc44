// EventPattern: which JSON events a filter lets through (EventBridge user guide, "Event patterns";
// Lambda developer guide, "Event filtering"). Fields not named match anything; a field matches if
// any of its rules does; an array in the event matches if any of its items does.
//
//   {"body": {"size": [{"numeric": [">", 3]}], "color": ["red", null, {"prefix": "b"}],
//             "$or": [{"a": [1]}, {"b": [{"exists": false}]}]}}
//
// Rules: values (exactly), prefix, suffix (each also with equals-ignore-case), equals-ignore-case,
// wildcard, anything-but (values, prefix, suffix, equals-ignore-case, wildcard), numeric, cidr
// (IPv4), exists. Pure; safe from any thread.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "wire/json.h"

namespace mayfly::wire {

class EventPattern {
 public:
  // Kind invalid, with the reason.
  static Result<EventPattern> parse(std::string_view text);
  bool matches(const Json& event) const;
  // The pattern has something to say of that member of the event; nullptr: nothing.
  const Json* of(std::string_view member) const { return pattern_.find(member); }

 private:
  Json pattern_;
};

}  // namespace mayfly::wire
