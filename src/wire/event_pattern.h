// EventPattern: which JSON events a filter lets through (EventBridge user guide, "Event patterns";
// Lambda developer guide, "Event filtering"). Fields not named match anything; a field matches if
// any of its rules does; an array in the event matches if any of its items does, and what a pattern
// says of the members of an array's objects must be true of one of these objects.
//
//   {"body": {"size": [{"numeric": [">", 3]}], "color": ["red", null, {"prefix": "b"}],
//             "$or": [{"a": [1]}, {"b": [{"exists": false}]}]}}
//
// Rules: values (exactly), prefix, suffix (each also with equals-ignore-case), equals-ignore-case,
// wildcard, anything-but (values, prefix, suffix, equals-ignore-case, wildcard, and lists of each),
// numeric, cidr (IPv4 and IPv6), exists. Letters of ASCII alone have two cases. `exists` speaks of
// leaves: an object is none, and nor is an empty array.
//
// Pure; safe from any thread. Copies share what was read.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "wire/event_rule.h"
#include "wire/json.h"

namespace mayfly::wire {

class EventPattern {
 public:
  // Kind invalid, with the reason in the cloud's words and the place:
  //   Empty arrays are not allowed at [Source: (String)"{"a":[]}"; line: 1, column: 8]
  static Result<EventPattern> parse(std::string_view text);
  bool matches(const Json& event) const;
  // The pattern has something to say of that member of the event; nullptr: nothing.
  const Json* of(std::string_view member) const { return read_->json.find(member); }
  const EventFields& fields() const { return read_->fields; }

 private:
  struct Read {
    Json json;
    EventFields fields;
  };
  std::shared_ptr<const Read> read_;
};

// For each combination of the alternatives of $or, the fields that must match.
using EventBranch = std::vector<const EventField*>;
std::vector<EventBranch> branches_of(const EventFields& fields);

// Private to event_pattern*.cc: the form of a pattern, from JSON known to be well-formed.
Result<EventFields> read_event_fields(std::string_view text);

}  // namespace mayfly::wire
