#include "services/events/target_input.h"

#include "base/limits.h"
#include "wire/input_template.h"
#include "wire/json_path.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

using wire::InputTemplate;
using wire::Json;
using wire::JsonPath;

constexpr std::string_view reserved = "aws.events.";
constexpr std::array<std::string_view, 5> predefined{"aws.events.rule-arn", "aws.events.rule-name",
                                                     "aws.events.event.ingestion-time",
                                                     "aws.events.event", "aws.events.event.json"};

bool is_predefined(std::string_view name) {
  return std::ranges::find(predefined, name) != predefined.end();
}

using Paths = std::map<std::string, std::string, std::less<>>;

Paths paths_of(const model::InputTransformer& transformer) {
  Paths out;
  for (auto [name, path] : transformer.input_paths_map()) out.emplace(name, path);
  return out;
}

Result<InputTemplate> template_of(const model::InputTransformer& transformer, const Paths& paths) {
  return InputTemplate::parse(
      transformer.input_template().value_or(""),
      [&](std::string_view name) { return is_predefined(name) || paths.contains(name); });
}

ApiResult<void> check_transformer(const model::InputTransformer& transformer, std::string_view id) {
  auto paths = paths_of(transformer);
  if (paths.size() > limits::events_template_paths) {
    return invalid(fmt::format("InputPathsMap of target {} may have {} entries.", id,
                               limits::events_template_paths));
  }
  for (const auto& [name, path] : paths) {
    if (name.starts_with(reserved) || name.starts_with("AWS")) {
      return invalid(fmt::format("InputPathsMap of target {}: the name {} is reserved.", id, name));
    }
    if (auto read = JsonPath::parse(path); !read) {
      return invalid(fmt::format("Invalid InputPathsMap for target {}: {}: {}.", id, path,
                                 read.error().message));
    }
  }
  auto read = template_of(transformer, paths);
  if (read) return {};
  return invalid(
      fmt::format("Invalid InputTemplate for target {} : [{}].", id, read.error().message));
}

std::optional<Json> predefined_value(std::string_view name, const BusEvent& event,
                                     const RuleNames& rule) {
  if (name == "aws.events.rule-arn") return Json(rule.arn);
  if (name == "aws.events.rule-name") return Json(rule.name);
  if (name == "aws.events.event.ingestion-time") {
    return Json(wire::format_iso8601(rule.ingested_ms, wire::Fraction::none));
  }
  if (name == "aws.events.event.json") return event.json;
  Json without = event.json;
  if (auto* members = without.as<wire::JsonObject>()) members->erase("detail");
  return without;
}

Result<std::string> transformed(const model::InputTransformer& transformer, const BusEvent& event,
                                const RuleNames& rule) {
  auto paths = paths_of(transformer);
  TRY_ASSIGN(auto read, template_of(transformer, paths));
  return read.fill([&](std::string_view name) -> std::optional<Json> {
    if (is_predefined(name)) return predefined_value(name, event, rule);
    auto path = JsonPath::parse(paths.find(name)->second);
    return path ? path->find(event.json) : std::nullopt;
  });
}

}  // namespace

ApiResult<void> check_input(const model::Target& target) {
  auto id = target.id().value_or("");
  int given = (target.input() ? 1 : 0) + (target.input_path() ? 1 : 0) +
              (target.has_input_transformer() ? 1 : 0);
  if (given > 1) {
    return invalid(fmt::format(
        "Only one of Input, InputPath, or InputTransformer must be provided for target {}.", id));
  }
  if (auto input = target.input(); input && !wire::parse_json(*input)) {
    return invalid(fmt::format("JSON syntax error in input for target {}", id));
  }
  if (auto text = target.input_path(); text && !text->empty()) {
    if (auto path = JsonPath::parse(*text); !path) {
      return invalid(fmt::format("Invalid InputPath for target {}: {}.", id, path.error().message));
    }
  }
  if (auto transformer = target.input_transformer()) return check_transformer(*transformer, id);
  return {};
}

Result<std::string> input_of(const model::Target& target, const BusEvent& event,
                             const RuleNames& rule) {
  if (auto input = target.input()) return std::string(*input);
  if (auto transformer = target.input_transformer()) {
    return transformed(*transformer, event, rule);
  }
  auto text = target.input_path();
  if (!text || text->empty() || *text == "$") return event.text;
  TRY_ASSIGN(auto path, JsonPath::parse(*text));
  auto value = path.find(event.json);
  return value ? value->dump() : std::string("null");
}

}  // namespace mayfly::services::bus
