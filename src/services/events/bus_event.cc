#include "services/events/bus_event.h"

#include "base/limits.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

using wire::Json;

// The levels below the object itself.
Result<Json> read_object(std::string_view text, int depth) {
  TRY_ASSIGN(auto json, wire::parse_json(text, {.depth = depth}));
  if (!json.is_object()) return fail(ErrorKind::invalid, "it is no JSON object");
  return json;
}

}  // namespace

Result<BusEvent> make_event(const EventParts& parts) {
  TRY_ASSIGN(auto detail, read_object(parts.detail, limits::events_detail_depth - 1));
  BusEvent out;
  auto& json = out.json;
  json["version"] = "0";
  json["id"] = parts.id;
  json["detail-type"] = parts.detail_type;
  json["source"] = parts.source;
  json["account"] = parts.scope.account.str();
  json["time"] = wire::format_iso8601(parts.time_ms, wire::Fraction::none);
  json["region"] = parts.scope.region.str();
  wire::JsonArray resources;
  for (auto one : parts.resources) resources.emplace_back(one);
  json["resources"] = std::move(resources);
  out.text = json.dump();
  out.text.pop_back();
  out.text.append(R"(,"detail":)").append(parts.detail).append("}");
  json["detail"] = std::move(detail);
  return out;
}

Result<BusEvent> read_event(std::string text) {
  TRY_ASSIGN(auto json, read_object(text, limits::events_detail_depth));
  return BusEvent{std::move(text), std::move(json)};
}

BusEvent replayed(std::string text, std::string_view replay_name) {
  auto end = text.rfind('}');
  if (end != text.npos) {
    text.resize(end);
    text += fmt::format(R"(,"replay-name":{}}})", wire::json_quoted(replay_name));
  }
  auto read = read_event(std::move(text));
  return read ? *std::move(read) : BusEvent();
}

}  // namespace mayfly::services::bus
