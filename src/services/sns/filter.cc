#include "services/sns/filter.h"

#include <cmath>

#include "base/limits.h"

namespace mayfly::services::sns {

namespace {

using wire::Json;

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("FilterPolicy: {}", why));
}

// Counts what the guide bounds: keys with rules, and how many combinations of values they have; a
// value of a nested key counts once for each level.
struct Counter {
  bool nested_allowed = false;
  std::size_t keys = 0;
  double combinations = 1;

  Result<> object(const wire::JsonObject& members, std::size_t depth) {
    for (const auto& [name, value] : members) {
      if (name == "$or" && value.is_array()) {
        for (const auto& one : *value.as<wire::JsonArray>()) {
          if (const auto* inner = one.as<wire::JsonObject>()) TRY(object(*inner, depth));
        }
      } else if (const auto* rules = value.as<wire::JsonArray>()) {
        ++keys;
        combinations *= static_cast<double>(rules->size() * depth);
        for (const auto& rule : *rules) TRY(numbers(rule));
      } else if (const auto* inner = value.as<wire::JsonObject>()) {
        if (!nested_allowed) {
          return bad("Filter policy scope MessageAttributes does not support nested filter policy");
        }
        TRY(object(*inner, depth + 1));
      }
    }
    return {};
  }

  static Result<> numbers(const Json& value) {
    if (value.is_number() && std::abs(value.number_value()) > limits::sns_filter_number) {
      return bad("Value of a number must be between -1.0E9 and 1.0E9");
    }
    if (const auto* list = value.as<wire::JsonArray>()) {
      for (const auto& one : *list) TRY(numbers(one));
    }
    if (const auto* object = value.as<wire::JsonObject>()) {
      for (const auto& [name, inner] : *object) TRY(numbers(inner));
    }
    return {};
  }
};

}  // namespace

Result<FilterPolicy> FilterPolicy::parse(std::string_view text, Scope scope) {
  if (text.size() > limits::sns_filter_bytes) return bad("Filter policy is too long");
  auto json = wire::parse_json(text);
  if (!json) return bad("failed to parse JSON.");
  const auto* members = json->as<wire::JsonObject>();
  if (members == nullptr) return bad("Filter policy must be a JSON object");
  auto pattern = wire::EventPattern::parse(text);
  if (!pattern) return bad(pattern.error().message);
  Counter counter{.nested_allowed = scope == Scope::body};
  TRY(counter.object(*members, 1));
  if (counter.keys > limits::sns_filter_keys) {
    return bad(
        fmt::format("Filter policy can not have more than {} keys", limits::sns_filter_keys));
  }
  if (counter.combinations > static_cast<double>(limits::sns_filter_combinations)) {
    return bad("Filter policy is too complex");
  }
  return FilterPolicy(*std::move(pattern), scope);
}

const Json& Filterable::attributes() {
  if (!attributes_) attributes_ = attributes_as_json(message_);
  return *attributes_;
}

const Json& Filterable::body() {
  if (!body_) {
    auto json = wire::parse_json(message_.body);
    body_ = json && json->is_object() ? *std::move(json) : Json();
  }
  return *body_;
}

bool FilterPolicy::matches(Filterable& message) const {
  if (scope_ == Scope::attributes) return pattern_.matches(message.attributes());
  return message.body().is_object() && pattern_.matches(message.body());
}

}  // namespace mayfly::services::sns
