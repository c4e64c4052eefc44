#include "wire/event_pattern.h"

#include "base/limits.h"

namespace mayfly::wire {

namespace {

// A value that is neither object nor array is at the path, through arrays too.
bool has_leaf(const Json& value, std::span<const std::string> path) {
  if (const auto* list = value.as<JsonArray>()) {
    return std::ranges::any_of(*list, [&](const Json& one) { return has_leaf(one, path); });
  }
  if (path.empty()) return !value.is_object();
  const auto* member = value.find(path.front());
  return member != nullptr && has_leaf(*member, path.subspan(1));
}

class Matcher {
 public:
  explicit Matcher(const Json& event) : event_(event) {}

  // `value` is what the fields are members of; nullptr: it is not there.
  bool all(const EventFields& fields, const Json* value) const {
    const auto* list = value == nullptr ? nullptr : value->as<JsonArray>();
    if (list != nullptr &&
        std::ranges::any_of(*list, [&](const Json& one) { return all(fields, &one); })) {
      return true;
    }
    const Json* object = value != nullptr && value->is_object() ? value : nullptr;
    auto one = [&](const EventField& field) { return field_matches(field, object); };
    auto any = [&](const std::vector<EventFields>& alternatives) {
      return std::ranges::any_of(alternatives,
                                 [&](const EventFields& inner) { return all(inner, object); });
    };
    return std::ranges::all_of(fields.fields, one) && std::ranges::all_of(fields.either, any);
  }

 private:
  bool field_matches(const EventField& field, const Json* object) const {
    const Json* value = object == nullptr ? nullptr : object->find(field.name);
    if (field.inner) return all(*field.inner, value);
    return std::ranges::any_of(field.rules, [&](const EventRule& rule) {
      if (rule.kind == EventRule::Kind::absent) return !has_leaf(event_, field.path);
      return value != nullptr && leaf_matches(rule, *value);
    });
  }
  static bool leaf_matches(const EventRule& rule, const Json& value) {
    if (const auto* list = value.as<JsonArray>()) {
      return std::ranges::any_of(*list, [&](const Json& one) { return leaf_matches(rule, one); });
    }
    return !value.is_object() && rule.matches(value);
  }

  const Json& event_;
};

// What is in `more` joined to each that is there.
void multiply(std::vector<EventBranch>& out, const std::vector<EventBranch>& more) {
  std::vector<EventBranch> product;
  product.reserve(out.size() * more.size());
  for (const auto& left : out) {
    for (const auto& right : more) {
      product.push_back(left);
      product.back().insert(product.back().end(), right.begin(), right.end());
    }
  }
  out = std::move(product);
}

}  // namespace

std::vector<EventBranch> branches_of(const EventFields& fields) {
  std::vector<EventBranch> out(1);
  for (const auto& field : fields.fields) {
    if (!field.inner) {
      for (auto& branch : out) branch.push_back(&field);
    } else {
      multiply(out, branches_of(*field.inner));
    }
  }
  for (const auto& alternatives : fields.either) {
    std::vector<EventBranch> any;
    for (const auto& one : alternatives) {
      for (auto& branch : branches_of(one)) any.push_back(std::move(branch));
    }
    multiply(out, any);
  }
  return out;
}

Result<EventPattern> EventPattern::parse(std::string_view text) {
  TRY_ASSIGN(auto json, parse_json(text, {.depth = limits::events_pattern_depth}));
  TRY_ASSIGN(auto fields, read_event_fields(text));
  EventPattern out;
  out.read_ = std::make_shared<const Read>(Read{std::move(json), std::move(fields)});
  return out;
}

bool EventPattern::matches(const Json& event) const {
  return Matcher(event).all(read_->fields, &event);
}

}  // namespace mayfly::wire
