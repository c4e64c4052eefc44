#include "services/events/records.h"

namespace mayfly::services::bus {

namespace {

using wire::Json;

Json tags_json(const Tags& tags) {
  Json out{wire::JsonObject()};
  for (const auto& [name, value] : tags) out[name] = value;
  return out;
}

Tags tags_of(const Json* json) {
  Tags out;
  const auto* members = json == nullptr ? nullptr : json->as<wire::JsonObject>();
  if (members == nullptr) return out;
  for (const auto& [name, value] : *members) out.emplace(name, value.string_value());
  return out;
}

Json head(const Scope& scope, const api::View& about) {
  Json out;
  out["account"] = scope.account.str();
  out["region"] = scope.region.str();
  out["about"] = json_of(about.record());
  return out;
}

Scope scope_of(const Json& json) {
  return {AccountId(std::string(json.string_or("account"))),
          Region(std::string(json.string_or("region")))};
}

template <class View>
Result<View> view_of(const Json* json) {
  if (json == nullptr) return View();
  TRY_ASSIGN(auto record, record_of(View::shape(), *json));
  return View(std::move(record));
}

Result<Json> parse(std::string_view bytes) {
  auto json = wire::parse_json(bytes);
  if (!json) return fail(ErrorKind::corrupt, "a row of the bus: " + json.error().message);
  return json;
}

}  // namespace

std::string encode(const Bus& bus) {
  auto json = head(bus.ref.scope, bus.about);
  json["name"] = bus.ref.name;
  json["tags"] = tags_json(bus.tags);
  return json.dump();
}

Result<> decode(std::string_view bytes, Bus& bus) {
  TRY_ASSIGN(auto json, parse(bytes));
  bus.ref = {scope_of(json), std::string(json.string_or("name"))};
  TRY_ASSIGN(bus.about, view_of<model::DescribeEventBusResponse>(json.find("about")));
  bus.tags = tags_of(json.find("tags"));
  return {};
}

std::string encode(const Rule& rule) {
  auto json = head(rule.ref.bus.scope, rule.about);
  json["bus"] = rule.ref.bus.name;
  json["name"] = rule.ref.name;
  json["since"] = rule.since_ms;
  json["tags"] = tags_json(rule.tags);
  wire::JsonArray targets;
  for (const auto& target : rule.targets) targets.push_back(json_of(target.record()));
  json["targets"] = std::move(targets);
  return json.dump();
}

Result<> decode(std::string_view bytes, Rule& rule) {
  TRY_ASSIGN(auto json, parse(bytes));
  rule.ref = {{scope_of(json), std::string(json.string_or("bus"))},
              std::string(json.string_or("name"))};
  rule.since_ms = json.int_or("since", 0);
  rule.tags = tags_of(json.find("tags"));
  TRY_ASSIGN(rule.about, view_of<model::DescribeRuleResponse>(json.find("about")));
  const auto* targets = json.find("targets");
  if (targets == nullptr || !targets->is_array()) return {};
  for (const auto& one : *targets->as<wire::JsonArray>()) {
    TRY_ASSIGN(auto target, view_of<model::Target>(&one));
    rule.targets.push_back(std::move(target));
  }
  return {};
}

std::string encode(const Archive& archive) {
  auto json = head(archive.scope, archive.about);
  json["id"] = archive.id;
  return json.dump();
}

Result<> decode(std::string_view bytes, Archive& archive) {
  TRY_ASSIGN(auto json, parse(bytes));
  archive.scope = scope_of(json);
  archive.id = json.string_or("id");
  TRY_ASSIGN(archive.about, view_of<model::DescribeArchiveResponse>(json.find("about")));
  return {};
}

std::string encode(const Replay& replay) {
  auto json = head(replay.scope, replay.about);
  json["ms"] = replay.place_ms;
  json["seq"] = static_cast<std::int64_t>(replay.place_seq);
  return json.dump();
}

Result<> decode(std::string_view bytes, Replay& replay) {
  TRY_ASSIGN(auto json, parse(bytes));
  replay.scope = scope_of(json);
  replay.place_ms = json.int_or("ms", INT64_MIN);
  replay.place_seq = static_cast<std::uint64_t>(json.int_or("seq", 0));
  TRY_ASSIGN(replay.about, view_of<model::DescribeReplayResponse>(json.find("about")));
  return {};
}

std::string encode(const Connection& connection) {
  auto json = head(connection.scope, connection.about);
  json["sealed"] = connection.sealed;
  return json.dump();
}

Result<> decode(std::string_view bytes, Connection& connection) {
  TRY_ASSIGN(auto json, parse(bytes));
  connection.scope = scope_of(json);
  TRY_ASSIGN(connection.about, view_of<model::DescribeConnectionResponse>(json.find("about")));
  connection.sealed = json.string_or("sealed");
  // As it was kept before it was sealed.
  if (const auto* clear = json.find("secrets"); clear != nullptr) connection.sealed = clear->dump();
  return {};
}

std::string encode(const ApiDestination& destination) {
  return head(destination.scope, destination.about).dump();
}

Result<> decode(std::string_view bytes, ApiDestination& destination) {
  TRY_ASSIGN(auto json, parse(bytes));
  destination.scope = scope_of(json);
  TRY_ASSIGN(destination.about, view_of<model::DescribeApiDestinationResponse>(json.find("about")));
  return {};
}

}  // namespace mayfly::services::bus
