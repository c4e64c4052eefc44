#include "wire/validate.h"

#include <re2/re2.h>

#include <array>
#include <shared_mutex>

#include "wire/text.h"

namespace mayfly::wire {

namespace {

constexpr std::size_t most_violations = 64;
constexpr std::size_t most_echoed = 1024;  // bytes of a value repeated in a message

// Compiled patterns by their text. Never emptied: patterns come from models, not from callers.
class Patterns {
 public:
  const RE2& get(std::string_view pattern) {
    {
      std::shared_lock lock(mutex_);
      if (auto found = compiled_.find(pattern); found != compiled_.end()) return *found->second;
    }
    RE2::Options options;
    options.set_log_errors(false);
    auto regex = std::make_unique<RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
    std::unique_lock lock(mutex_);
    return *compiled_.emplace(std::string(pattern), std::move(regex)).first->second;
  }

 private:
  std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<RE2>, std::less<>> compiled_;
};

Patterns& patterns() {
  static Patterns all;
  return all;
}

enum class Match { yes, no, unknown };

// Short texts that have matched of late: names come again and again, and comparing costs less than
// the pattern.
class Matched {
 public:
  bool has(std::string_view pattern, std::string_view text) {
    const auto& kept = place(text);
    return kept.text == text && kept.pattern == pattern && !pattern.empty();
  }
  void keep(std::string_view pattern, std::string_view text) {
    if (text.size() > longest || pattern.size() > longest) return;
    auto& kept = place(text);
    kept.pattern = pattern;
    kept.text = text;
  }

 private:
  static constexpr std::size_t longest = 256;
  struct Kept {
    std::string pattern;
    std::string text;
  };
  Kept& place(std::string_view text) {
    std::size_t hash = text.size();
    if (!text.empty()) hash = hash * 31 + static_cast<unsigned char>(text.back()) * 7;
    return kept_[hash % kept_.size()];
  }
  std::array<Kept, 32> kept_;
};

Match matches(std::string_view pattern, std::string_view text) {
  thread_local Matched matched;
  if (matched.has(pattern, text)) return Match::yes;
  const RE2& regex = patterns().get(pattern);
  if (!regex.ok()) return Match::unknown;
  if (!RE2::FullMatch(re2::StringPiece(text.data(), text.size()), regex)) return Match::no;
  matched.keep(pattern, text);
  return Match::yes;
}

// Where a value stands, from the inside out. Only the place of a value that is refused is written.
struct Place {
  const Place* outer = nullptr;
  std::string_view name = {};  // of a member or a key
  std::size_t number = 0;      // of an item, from 1 on; 0: `name` says it
  bool member = true;          // false: within a list or map, "….member"

  std::string text() const {
    std::string out;
    if (outer != nullptr) out = outer->text();
    if (!member) {
      return out +
             (number > 0 ? fmt::format(".{}.member", number) : fmt::format(".{}.member", name));
    }
    if (!out.empty()) out += '.';
    std::size_t first = out.size();
    out += name;
    if (!name.empty()) out[first] = to_lower(name.substr(0, 1))[0];
    return out;
  }
};

std::string bound_text(double bound) { return format_double(bound); }

void echo(std::string& out, const Value& value) {
  if (out.size() > most_echoed) return;
  if (const auto* text = value.get<std::string>()) {
    out += *text;
  } else if (const auto* flag = value.get<bool>()) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = value.get<std::int64_t>()) {
    out += fmt::format("{}", *integer);
  } else if (const auto* number = value.get<double>()) {
    out += format_double(*number);
  } else if (const auto* list = value.get<List>()) {
    out += '[';
    for (std::size_t i = 0; i < list->size() && out.size() < most_echoed; ++i) {
      if (i > 0) out += ", ";
      echo(out, (*list)[i]);
    }
    out += ']';
  } else if (const auto* map = value.get<Map>()) {
    out += '{';
    for (std::size_t i = 0; i < map->size() && out.size() < most_echoed; ++i) {
      if (i > 0) out += ", ";
      out += (*map)[i].first + "=";
      echo(out, (*map)[i].second);
    }
    out += '}';
  }
}

bool has_secrets(const Shape& shape) {
  if (shape.sensitive || shape.kind == ShapeKind::blob || shape.kind == ShapeKind::structure) {
    return true;
  }
  if (shape.key != nullptr && has_secrets(*shape.key->shape)) return true;
  return shape.element != nullptr && has_secrets(*shape.element->shape);
}

std::string quoted(const Shape& shape, const Value& value) {
  if (has_secrets(shape)) return "Value";
  std::string text;
  echo(text, value);
  if (text.size() > most_echoed) {
    text.resize(most_echoed);
    while (!text.empty() && !is_utf8(text)) text.pop_back();
    text += "...";
  }
  return fmt::format("Value '{}'", text);
}

class Walk {
 public:
  std::vector<std::string> found;

  void record(const Record& record, const Place* outer) {
    if (record.shape == nullptr) return;
    for (std::size_t i = 0; i < record.shape->members.size() && !full(); ++i) {
      const Member& member = record.shape->members[i];
      const Value& value = record.at(i);
      if (value.is_null() && !member.required) continue;
      Place place{.outer = outer, .name = member.name};
      if (!value.is_null()) {
        this->value(*member.shape, value, place);
      } else {
        add("Value null", place, "Member must not be null");
      }
    }
  }

 private:
  bool full() const { return found.size() >= most_violations; }

  void add(std::string_view value, const Place& place, std::string_view constraint) {
    if (full()) return;
    found.push_back(fmt::format("{} at '{}' failed to satisfy constraint: {}", value, place.text(),
                                constraint));
  }

  void value(const Shape& shape, const Value& value, const Place& place) {
    for (const std::string& constraint : broken(shape, value)) {
      add(quoted(shape, value), place, constraint);
    }
    if (const auto* nested = value.get<Record>()) record(*nested, &place);
    if (const auto* list = value.get<List>()) items(shape, *list, value, place);
    if (const auto* map = value.get<Map>()) entries(shape, *map, value, place);
  }

  // Scalars in a list are reported once, at the list; structures each at their own place.
  void items(const Shape& shape, const List& list, const Value& whole, const Place& place) {
    bool reported = false;
    for (std::size_t i = 0; i < list.size() && !full(); ++i) {
      const Shape& element = *shape.element->shape;
      if (nests(element)) {
        value(element, list[i], {.outer = &place, .number = i + 1, .member = false});
        continue;
      }
      auto constraints = broken(element, list[i]);
      if (constraints.empty() || reported) continue;
      reported = true;
      add(quoted(shape, whole), place,
          fmt::format("Member must satisfy constraint: [{}]", fmt::join(constraints, ", ")));
    }
  }

  void entries(const Shape& shape, const Map& map, const Value& whole, const Place& place) {
    bool key_reported = false;
    bool value_reported = false;
    for (const auto& [key, item] : map) {
      if (full()) return;
      auto constraints =
          shape.key == nullptr ? std::vector<std::string>() : broken(*shape.key->shape, Value(key));
      if (!constraints.empty() && !key_reported) {
        key_reported = true;
        add(quoted(shape, whole), place,
            fmt::format("Map keys must satisfy constraint: [{}]", fmt::join(constraints, ", ")));
      }
      const Shape& element = *shape.element->shape;
      if (nests(element)) {
        value(element, item, {.outer = &place, .name = key, .member = false});
        continue;
      }
      constraints = broken(element, item);
      if (constraints.empty() || value_reported) continue;
      value_reported = true;
      add(quoted(shape, whole), place,
          fmt::format("Map value must satisfy constraint: [{}]", fmt::join(constraints, ", ")));
    }
  }

  static bool nests(const Shape& shape) {
    return shape.kind == ShapeKind::structure || shape.kind == ShapeKind::list ||
           shape.kind == ShapeKind::map;
  }

  static void size_bounds(const Shape& shape, std::size_t size, std::vector<std::string>& out) {
    auto length = static_cast<double>(size);
    if (shape.max && length > *shape.max) {
      out.push_back("Member must have length less than or equal to " + bound_text(*shape.max));
    }
    if (shape.min && length < *shape.min) {
      out.push_back("Member must have length greater than or equal to " + bound_text(*shape.min));
    }
  }

  static void value_bounds(const Shape& shape, double value, std::vector<std::string>& out) {
    if (shape.max && value > *shape.max) {
      out.push_back("Member must have value less than or equal to " + bound_text(*shape.max));
    }
    if (shape.min && value < *shape.min) {
      out.push_back("Member must have value greater than or equal to " + bound_text(*shape.min));
    }
  }

  static void string_rules(const Shape& shape, const std::string& text,
                           std::vector<std::string>& out) {
    size_bounds(shape, utf8_length(text), out);
    if (!shape.pattern.empty()) {
      Match match = matches(shape.regex.empty() ? shape.pattern : shape.regex, text);
      Match refused = shape.forbidden.empty() ? Match::no : matches(shape.forbidden, text);
      if (match == Match::unknown || refused == Match::unknown) {
        out.push_back(fmt::format("this server cannot check the pattern of {}", shape.name));
      } else if (match == Match::no || refused == Match::yes) {
        out.push_back(
            fmt::format("Member must satisfy regular expression pattern: {}", shape.pattern));
      }
    }
    auto values = shape.enum_values;
    if (!values.empty() && std::find(values.begin(), values.end(), text) == values.end()) {
      out.push_back(
          fmt::format("Member must satisfy enum value set: [{}]", fmt::join(values, ", ")));
    }
  }

  static std::vector<std::string> broken(const Shape& shape, const Value& value) {
    std::vector<std::string> out;
    if (const auto* text = value.get<std::string>()) string_rules(shape, *text, out);
    if (const auto* blob = value.get<Blob>()) size_bounds(shape, blob->bytes.size(), out);
    if (const auto* list = value.get<List>()) size_bounds(shape, list->size(), out);
    if (const auto* map = value.get<Map>()) size_bounds(shape, map->size(), out);
    if (const auto* number = value.get<double>()) value_bounds(shape, *number, out);
    if (const auto* integer = value.get<std::int64_t>()) {
      value_bounds(shape, static_cast<double>(*integer), out);
    }
    return out;
  }
};

}  // namespace

std::vector<std::string> violations(const Record& record) {
  Walk walk;
  walk.record(record, nullptr);
  return std::move(walk.found);
}

Result<> validate(const Record& record) {
  auto found = violations(record);
  if (found.empty()) return {};
  return fail(ErrorKind::invalid,
              fmt::format("{} validation error{} detected: {}", found.size(),
                          found.size() == 1 ? "" : "s", fmt::join(found, "; ")));
}

}  // namespace mayfly::wire
