// { … }: conditions on the members of an event that is JSON.
#include "wire/json.h"
#include "wire/log_pattern_parts.h"

namespace mayfly::wire::log_pattern {
namespace {

using JsonTest = Conditions<Json>::Test;

struct Step {
  enum class Kind { member, index, each };
  Kind kind = Kind::member;
  std::string name;  // "*" selects every member too
  std::size_t index = 0;
};
using Path = std::vector<Step>;
using Visit = std::function<bool(const Json&)>;

bool is_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-' || c == '*' || c == '@' || static_cast<unsigned char>(c) >= 0x80;
}

// [0], [*] or ['name'] / ["name"], after the bracket.
Result<Step> take_bracket(Cursor& in) {
  Step step;
  char quote = in.peek();
  if (quote == '\'' || quote == '"') {
    in.take();
    while (!in.done() && in.peek() != quote) step.name += in.take();
    if (in.done()) return in.wrong("a closing quote is missing");
    in.take();
  } else if (in.eat("*")) {
    step.kind = Step::Kind::each;
  } else {
    step.kind = Step::Kind::index;
    std::size_t digits = 0;
    for (; in.peek() >= '0' && in.peek() <= '9' && digits < 9; ++digits) {
      step.index = step.index * 10 + static_cast<std::size_t>(in.take() - '0');
    }
    if (digits == 0) return in.wrong("an index is missing");
  }
  if (!in.eat("]")) return in.wrong("']' is missing");
  return step;
}

Result<Path> take_path(Cursor& in) {
  in.skip_space();
  if (!in.eat("$")) return in.wrong("a selector must begin with '$'");
  Path path;
  while (true) {
    if (in.eat("[")) {
      TRY_ASSIGN(auto step, take_bracket(in));
      path.push_back(std::move(step));
    } else if (in.eat(".")) {
      if (in.peek() == '[') continue;  // "$.[0]" is written too
      Step step;
      while (is_name(in.peek())) step.name += in.take();
      if (step.name.empty()) return in.wrong("a member name is missing");
      path.push_back(std::move(step));
    } else {
      break;
    }
  }
  if (path.empty()) return in.wrong("a selector must name a member");
  return path;
}

// True when `visit` holds for any value that the path selects.
bool any_at(const Json& value, const Path& path, std::size_t at, const Visit& visit) {
  if (at == path.size()) return visit(value);
  const auto& step = path[at];
  auto deeper = [&](const Json& next) { return any_at(next, path, at + 1, visit); };
  if (const auto* object = value.as<JsonObject>()) {
    if (step.kind == Step::Kind::index) return false;
    if (step.kind == Step::Kind::each || step.name == "*") {
      return std::any_of(object->begin(), object->end(),
                         [&](const JsonMember& member) { return deeper(member.value); });
    }
    const auto* member = object->find(step.name);
    return member != nullptr && deeper(*member);
  }
  if (const auto* array = value.as<JsonArray>()) {
    if (step.kind == Step::Kind::index) {
      return step.index < array->size() && deeper((*array)[step.index]);
    }
    return (step.kind == Step::Kind::each || step.name == "*") &&
           std::ranges::any_of(*array, deeper);
  }
  return false;
}

bool compare_value(Compare op, const Json& left, const Operand& right) {
  if (const auto* text = left.as<std::string>()) {
    if (right.regex || op == Compare::equal || op == Compare::not_equal) {
      Operand as_text = right;
      as_text.number.reset();
      return compare_text(op, *text, as_text);
    }
    return false;
  }
  if (left.is_number()) {
    if (right.number) return compare_numbers(op, left.number_value(), *right.number);
    // An unquoted text with wildcards, "4*", compares with the number as it is written.
    if (right.quoted) return op == Compare::not_equal;
    return compare_text(op, left.dump(), right);
  }
  if (left.is_bool() && !right.quoted && !right.regex) {
    return compare_text(op, *left.as<bool>() ? "true" : "false", right);
  }
  if (right.text == "*" && !right.quoted) return op == Compare::equal;
  return op == Compare::not_equal;
}

Result<JsonTest> take_condition(Cursor& in) {
  TRY_ASSIGN(auto path, take_path(in));
  auto test = [path = std::move(path)](Visit visit) -> JsonTest {
    return [path, visit = std::move(visit)](const Json& event) {
      return any_at(event, path, 0, visit);
    };
  };
  in.skip_space();
  if (in.eat_word("IS")) {
    in.skip_space();
    if (in.eat_word("NULL")) return test([](const Json& v) { return v.is_null(); });
    if (in.eat_word("TRUE")) {
      return test([](const Json& v) { return v.is_bool() && *v.as<bool>(); });
    }
    if (in.eat_word("FALSE")) {
      return test([](const Json& v) { return v.is_bool() && !*v.as<bool>(); });
    }
    return in.wrong("NULL, TRUE or FALSE is missing");
  }
  auto exists = test([](const Json&) { return true; });
  if (in.eat_word("EXISTS")) return exists;
  if (in.eat_word("NOT")) {
    in.skip_space();
    if (!in.eat_word("EXISTS")) return in.wrong("EXISTS is missing");
    return [exists](const Json& event) { return !exists(event); };
  }
  auto op = take_compare(in);
  if (!op) return in.wrong("an operator is missing");
  TRY_ASSIGN(auto operand, take_operand(in, ")}&|"));
  return test([op = *op, operand = std::move(operand)](const Json& value) {
    return compare_value(op, value, operand);
  });
}

}  // namespace

Result<TextTest> parse_json(std::string_view text) {
  Cursor in(text);
  in.skip_space();
  in.take();  // '{'
  TRY_ASSIGN(auto test, Conditions<Json>(take_condition).parse(in));
  in.skip_space();
  if (!in.eat("}")) return in.wrong("'}' is missing");
  in.skip_space();
  if (!in.done()) return in.wrong("nothing may follow '}'");
  return [test](std::string_view message) {
    auto first = message.find_first_not_of(" \t\r\n");
    if (first == message.npos || (message[first] != '{' && message[first] != '[')) return false;
    auto event = wire::parse_json(message);
    return event && test(*event);
  };
}

}  // namespace mayfly::wire::log_pattern
