#include "wire/json_path.h"

#include "wire/text.h"

namespace mayfly::wire {

namespace {

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorKind::invalid, std::string(why));
}

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-' || c == '/';
}

}  // namespace

// "[0]", "[*]", "['name']".
Result<> JsonPath::read_brackets(std::string_view& rest) {
  auto close = rest.find(']');
  if (rest.size() > 1 && (rest[1] == '\'' || rest[1] == '"')) {
    close = rest.find(std::string{rest[1], ']'}, 2);
    if (close == rest.npos) return bad("a name in brackets has no end");
    steps_.emplace_back(std::string(rest.substr(2, close - 2)));
    rest.remove_prefix(close + 2);
    return {};
  }
  if (close == rest.npos) return bad("a bracket has no end");
  auto inside = rest.substr(1, close - 1);
  rest.remove_prefix(close + 1);
  if (inside == "*") {
    steps_.emplace_back(Any{});
    many_ = true;
    return {};
  }
  auto index = parse_int(inside);
  if (!index || *index < 0) return bad("an index must be a number, '*' or a name in quotes");
  steps_.emplace_back(static_cast<std::size_t>(*index));
  return {};
}

Result<JsonPath> JsonPath::parse(std::string_view text) {
  if (!text.starts_with('$')) return bad("a path begins with $");
  JsonPath out;
  auto rest = text.substr(1);
  while (!rest.empty()) {
    if (rest.front() == '[') {
      TRY(out.read_brackets(rest));
      continue;
    }
    if (rest.front() != '.') return bad("a path goes on with '.' or '['");
    rest.remove_prefix(1);
    if (rest.starts_with('*')) {
      out.steps_.emplace_back(Any{});
      out.many_ = true;
      rest.remove_prefix(1);
      continue;
    }
    auto end = std::ranges::find_if_not(rest, is_name_character);
    auto size = static_cast<std::size_t>(end - rest.begin());
    if (size == 0) return bad("a name is missing");
    out.steps_.emplace_back(std::string(rest.substr(0, size)));
    rest.remove_prefix(size);
  }
  return out;
}

std::optional<Json> JsonPath::find(const Json& root) const {
  std::vector<const Json*> at{&root};
  for (const auto& step : steps_) {
    std::vector<const Json*> next;
    for (const Json* value : at) {
      const auto* list = value->as<JsonArray>();
      if (const auto* name = std::get_if<std::string>(&step)) {
        if (const auto* member = value->find(*name)) next.push_back(member);
      } else if (const auto* index = std::get_if<std::size_t>(&step)) {
        if (list != nullptr && *index < list->size()) next.push_back(&(*list)[*index]);
      } else if (list != nullptr) {
        for (const auto& one : *list) next.push_back(&one);
      } else if (const auto* members = value->as<JsonObject>()) {
        for (const auto& member : *members) next.push_back(&member.value);
      }
    }
    at = std::move(next);
  }
  if (at.empty()) return std::nullopt;
  if (!many_) return *at.front();
  JsonArray all;
  for (const Json* value : at) all.push_back(*value);
  return Json(std::move(all));
}

}  // namespace mayfly::wire
