// FilterPolicy: which messages a subscription gets, by their attributes or by their body (SNS
// developer guide, "Amazon SNS subscription filter policies").
//
// Pure; safe from any thread.
#pragma once

#include <string_view>

#include "base/result.h"
#include "services/sns/message.h"
#include "wire/event_pattern.h"

namespace mayfly::services::sns {

// A message as filters look at it, read when the first one does.
class Filterable {
 public:
  explicit Filterable(const Message& message) : message_(message) {}
  const wire::Json& attributes();
  const wire::Json& body();  // null where it is no JSON object

 private:
  const Message& message_;
  std::optional<wire::Json> attributes_;
  std::optional<wire::Json> body_;
};

class FilterPolicy {
 public:
  enum class Scope { attributes, body };
  // Within the limits of the guide. Kind invalid, with the reason as the cloud words it
  // ("FilterPolicy: …").
  static Result<FilterPolicy> parse(std::string_view text, Scope scope);
  // A body that is no JSON object matches nothing.
  bool matches(Filterable& message) const;

 private:
  FilterPolicy(wire::EventPattern pattern, Scope scope)
      : pattern_(std::move(pattern)), scope_(scope) {}

  wire::EventPattern pattern_;
  Scope scope_;
};

}  // namespace mayfly::services::sns
