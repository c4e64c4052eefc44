#include "wire/input_template.h"

#include "wire/text.h"

namespace mayfly::wire {

namespace {

bool is_variable(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("_-.$[]*/'").find(c) != std::string_view::npos;
  });
}

// As it stands inside a text's quotes.
std::string escaped(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out.substr(1, out.size() - 2);
}

std::string inside_quotes(const Json& value) {
  if (value.is_string()) return escaped(value.string_value());
  std::string json = value.dump();
  std::erase(json, '"');
  return escaped(json);
}

Result<> check_json(std::string_view text, bool lines) {
  if (!lines) {
    auto json = parse_json(text);
    if (json) return {};
    return fail(ErrorKind::invalid, std::move(json.error().message));
  }
  for (auto line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    auto json = parse_json(trim(line));
    if (!json) return fail(ErrorKind::invalid, std::move(json.error().message));
    if (!json->is_string()) return fail(ErrorKind::invalid, "a line is no text in quotes");
  }
  return {};
}

}  // namespace

Result<InputTemplate> InputTemplate::parse(
    std::string_view text, const std::function<bool(std::string_view name)>& known) {
  InputTemplate out;
  bool quoted = false;
  std::string literal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') {
      auto end = text.find('>', i);
      auto name = end == text.npos ? std::string_view() : text.substr(i + 1, end - i - 1);
      if (is_variable(name)) {
        if (!known(name)) {
          return fail(ErrorKind::invalid, fmt::format("it has no variable <{}>", name));
        }
        out.parts_.push_back({std::exchange(literal, {}), false, false});
        out.parts_.push_back({std::string(name), true, quoted});
        i = end;
        continue;
      }
    }
    if (text[i] == '"') quoted = !quoted;
    literal += text[i];
    if (quoted && text[i] == '\\' && i + 1 < text.size()) literal += text[++i];
  }
  out.parts_.push_back({std::move(literal), false, false});
  auto start = trim(text);
  out.lines_ = start.starts_with('"') && start.find('\n') != start.npos;
  TRY(out.fill([](std::string_view) { return std::nullopt; }));
  return out;
}

Result<std::string> InputTemplate::fill(const Values& values) const {
  std::string out;
  for (const auto& part : parts_) {
    if (!part.variable) {
      out += part.text;
      continue;
    }
    auto value = values(part.text).value_or(Json(""));
    out += part.quoted ? inside_quotes(value) : value.dump();
  }
  TRY(check_json(out, lines_));
  return out;
}

std::vector<std::string> InputTemplate::names() const {
  std::vector<std::string> out;
  for (const auto& part : parts_) {
    if (part.variable) out.push_back(part.text);
  }
  return out;
}

}  // namespace mayfly::wire
