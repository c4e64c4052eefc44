#include "wire/event_pattern.h"

#include "wire/text.h"

namespace mayfly::wire {

namespace {

constexpr int depth_limit = 64;
constexpr std::size_t rules_limit = 1000;  // in one pattern

std::unexpected<Error> bad(std::string why) { return fail(ErrorKind::invalid, std::move(why)); }

bool is_scalar(const Json& json) { return !json.is_array() && !json.is_object(); }

// '*' is any text; a backslash takes '*' and itself literally.
bool wildcard(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    bool escaped = p + 1 < pattern.size() && pattern[p] == '\\' &&
                   (pattern[p + 1] == '*' || pattern[p + 1] == '\\');
    char want = p < pattern.size() ? pattern[escaped ? p + 1 : p] : '\0';
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && want == text[t]) {
      p += escaped ? 2 : 1;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::optional<std::uint32_t> address_of(std::string_view text) {
  auto parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  std::uint32_t out = 0;
  for (auto part : parts) {
    auto number = parse_int(part);
    if (!number || *number < 0 || *number > 255) return std::nullopt;
    out = out << 8 | static_cast<std::uint32_t>(*number);
  }
  return out;
}

struct Range {
  std::uint32_t address = 0;
  std::uint32_t mask = 0;
};
std::optional<Range> range_of(std::string_view text) {
  auto slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  auto address = address_of(text.substr(0, slash));
  auto bits = parse_int(text.substr(slash + 1));
  if (!address || !bits || *bits < 0 || *bits > 32) return std::nullopt;
  std::uint32_t mask = *bits == 0 ? 0 : ~std::uint32_t{0} << (32 - *bits);
  return Range{*address & mask, mask};
}

bool compare(std::string_view op, double value, double limit) {
  if (op == "<") return value < limit;
  if (op == "<=") return value <= limit;
  if (op == ">") return value > limit;
  if (op == ">=") return value >= limit;
  return value == limit;
}

// ---- The form of a pattern

class Checker {
 public:
  Result<> structure(const Json& pattern, int depth) {
    if (depth > depth_limit) return bad("It is nested too deep");
    const auto* members = pattern.as<JsonObject>();
    if (members == nullptr) return bad("It must be a JSON object");
    if (members->empty()) return bad("An object in it is empty");
    for (const auto& [name, value] : *members) {
      if (name == "$or" && value.is_array()) {
        if (value.as<JsonArray>()->size() < 2) return bad("$or needs two alternatives or more");
        for (const auto& one : *value.as<JsonArray>()) TRY(structure(one, depth + 1));
      } else if (value.is_object()) {
        TRY(structure(value, depth + 1));
      } else if (const auto* rules = value.as<JsonArray>()) {
        if (rules->empty()) return bad(fmt::format("'{}' has no rule", name));
        for (const auto& rule : *rules) TRY(this->rule(rule));
      } else {
        return bad(fmt::format("'{}' must be an object or an array", name));
      }
    }
    return {};
  }

 private:
  Result<> rule(const Json& rule) {
    if (++rules_ > rules_limit) return bad("It has too many rules");
    if (is_scalar(rule)) return {};
    const auto* form = rule.as<JsonObject>();
    if (form == nullptr || form->size() != 1) return bad("A rule must be a value or one operator");
    const auto& [name, value] = *form->begin();
    if (name == "prefix" || name == "suffix") return affix(name, value);
    if (name == "equals-ignore-case" || name == "wildcard") {
      return value.is_string() ? Result<>{} : bad(fmt::format("'{}' needs a text", name));
    }
    if (name == "exists") return value.is_bool() ? Result<>{} : bad("'exists' needs true or false");
    if (name == "numeric") return numeric(value);
    if (name == "cidr") {
      return range_of(value.string_value()) ? Result<>{} : bad("'cidr' needs an IPv4 range");
    }
    if (name == "anything-but") return anything_but(value);
    return bad(fmt::format("Unrecognized match type {}", name));
  }

  static Result<> affix(std::string_view name, const Json& value) {
    const auto* inner = value.find("equals-ignore-case");
    if (value.is_string() || (inner != nullptr && inner->is_string())) return {};
    return bad(fmt::format("'{}' needs a text", name));
  }

  static Result<> numeric(const Json& value) {
    const auto* parts = value.as<JsonArray>();
    if (parts == nullptr || (parts->size() != 2 && parts->size() != 4)) {
      return bad("'numeric' needs one or two comparisons");
    }
    for (std::size_t i = 0; i < parts->size(); i += 2) {
      auto op = (*parts)[i].string_value();
      bool known = op == "=" || op == "<" || op == "<=" || op == ">" || op == ">=";
      if (!known || !(*parts)[i + 1].is_number()) return bad("'numeric' is not understood");
    }
    return {};
  }

  static Result<> anything_but(const Json& value) {
    if (is_scalar(value)) return value.is_null() ? bad("'anything-but' needs a value") : Result<>{};
    if (const auto* list = value.as<JsonArray>()) {
      bool good = !list->empty() && std::ranges::all_of(*list, [](const Json& one) {
        return one.is_string() || one.is_number();
      });
      return good ? Result<>{} : bad("'anything-but' needs texts or numbers");
    }
    const auto& form = *value.as<JsonObject>();
    if (form.size() != 1) return bad("'anything-but' is not understood");
    const auto& [name, inner] = *form.begin();
    bool known =
        name == "prefix" || name == "suffix" || name == "equals-ignore-case" || name == "wildcard";
    const auto* list = inner.as<JsonArray>();
    bool texts = inner.is_string() ||
                 (list != nullptr && !list->empty() &&
                  std::ranges::all_of(*list, [](const Json& one) { return one.is_string(); }));
    return known && texts ? Result<>{} : bad("'anything-but' is not understood");
  }

  std::size_t rules_ = 0;
};

// ---- Matching

bool text_matches(std::string_view name, const Json& want, std::string_view text) {
  std::string lower;
  std::string want_lower;
  std::string_view value = want.string_value();
  if (const auto* inner = want.find("equals-ignore-case")) {
    lower = to_lower(text);
    want_lower = to_lower(inner->string_value());
    text = lower;
    value = want_lower;
  }
  if (name == "prefix") return text.starts_with(value);
  if (name == "suffix") return text.ends_with(value);
  if (name == "equals-ignore-case") return to_lower(text) == to_lower(value);
  return wildcard(value, text);
}

bool any_text_matches(std::string_view name, const Json& want, std::string_view text) {
  const auto* list = want.as<JsonArray>();
  if (list == nullptr) return text_matches(name, want, text);
  return std::ranges::any_of(*list, [&](const Json& one) { return text_matches(name, one, text); });
}

bool anything_but_matches(const Json& want, const Json& value) {
  if (const auto* list = want.as<JsonArray>()) {
    return std::ranges::none_of(*list, [&](const Json& one) { return one == value; });
  }
  if (!want.is_object()) return !(want == value);
  const auto& [name, inner] = *want.as<JsonObject>()->begin();
  return !value.is_string() || !any_text_matches(name, inner, value.string_value());
}

bool numeric_matches(const JsonArray& parts, const Json& value) {
  if (!value.is_number()) return false;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    if (!compare(parts[i].string_value(), value.number_value(), parts[i + 1].number_value())) {
      return false;
    }
  }
  return true;
}

// One rule on one value that is there.
bool rule_matches(const Json& rule, const Json& value) {
  if (is_scalar(rule)) return rule == value;
  const auto& [name, want] = *rule.as<JsonObject>()->begin();
  if (name == "exists") return *want.as<bool>();
  if (name == "numeric") return numeric_matches(*want.as<JsonArray>(), value);
  if (name == "anything-but") return anything_but_matches(want, value);
  if (!value.is_string()) return false;
  if (name == "cidr") {
    auto range = range_of(want.string_value());
    auto address = address_of(value.string_value());
    return range && address && (*address & range->mask) == range->address;
  }
  return text_matches(name, want, value.string_value());
}

bool is_absence(const Json& rule) {
  const auto* exists = rule.find("exists");
  return exists != nullptr && !*exists->as<bool>();
}

bool field_matches(const JsonArray& rules, const Json* value) {
  // 'exists' speaks of leaves: an object is none.
  if (value == nullptr || value->is_object()) return std::ranges::any_of(rules, is_absence);
  auto matches = [&](const Json& one) {
    return std::ranges::any_of(rules, [&](const Json& rule) { return rule_matches(rule, one); });
  };
  if (const auto* list = value->as<JsonArray>()) return std::ranges::any_of(*list, matches);
  return matches(*value);
}

bool structure_matches(const Json& pattern, const Json* event) {
  // Of an array of objects one must match.
  if (event != nullptr && event->is_array()) {
    return std::ranges::any_of(*event->as<JsonArray>(),
                               [&](const Json& one) { return structure_matches(pattern, &one); });
  }
  return std::ranges::all_of(*pattern.as<JsonObject>(), [&](const JsonMember& member) {
    const auto& [name, want] = member;
    if (name == "$or" && want.is_array()) {
      return std::ranges::any_of(*want.as<JsonArray>(),
                                 [&](const Json& one) { return structure_matches(one, event); });
    }
    const Json* value = event == nullptr ? nullptr : event->find(name);
    if (const auto* rules = want.as<JsonArray>()) return field_matches(*rules, value);
    return structure_matches(want, value);
  });
}

}  // namespace

Result<EventPattern> EventPattern::parse(std::string_view text) {
  TRY_ASSIGN(auto json, parse_json(text, {.depth = depth_limit}));
  EventPattern out;
  out.pattern_ = std::move(json);
  TRY(Checker().structure(out.pattern_, 0));
  return out;
}

bool EventPattern::matches(const Json& event) const { return structure_matches(pattern_, &event); }

}  // namespace mayfly::wire
