#include "services/events/config.h"

#include "base/log.h"
#include "events/switchboard.h"

namespace mayfly::services::bus {

namespace {

std::string bus_key_of(const Archive& archive) {
  auto bus = parse_bus_arn(archive.about.event_source_arn().value_or(""));
  return bus ? bus->key() : std::string();
}

}  // namespace

Config::Config(io::Loop& loop, store::Store& store)
    : buses(loop, store, "bus/"),
      rules(loop, store, "rule/"),
      archives(loop, store, "archive/"),
      replays(loop, store, "replay/"),
      connections(loop, store, "connection/"),
      destinations(loop, store, "destination/") {
  rules.on_change = [this](const auto& before, const auto& after) {
    if (before) {
      --rule_counts_[before->ref.bus.key()];
      forget(before->ref.bus.key(), "rule/" + before->key());
    }
    if (after) ++rule_counts_[after->ref.bus.key()];
    auto pattern = after ? after->about.event_pattern() : std::nullopt;
    if (pattern && after->enabled())
      compile(after->ref.bus.key(), "rule/" + after->key(), *pattern);
    if (on_rule) on_rule(before, after);
  };
  archives.on_change = [this](const auto& before, const auto& after) {
    if (before) forget(bus_key_of(*before), "archive/" + before->key());
    if (!after || after->about.state() == "DISABLED") return;
    auto pattern = after->about.event_pattern().value_or("");
    if (pattern.empty()) {
      compiled_[bus_key_of(*after)].catch_all.insert(after->key());
    } else {
      compile(bus_key_of(*after), "archive/" + after->key(), pattern);
    }
  };
}

Result<> Config::load() {
  TRY(buses.load());
  TRY(rules.load());
  TRY(archives.load());
  TRY(replays.load());
  TRY(connections.load());
  return destinations.load();
}

void Config::compile(const std::string& bus_key, const std::string& key, std::string_view pattern) {
  auto read = wire::EventPattern::parse(pattern);
  if (!read) {
    // It was read once when it was set.
    log::error("events", "the pattern of {} is none: {}", key, read.error().message);
    return;
  }
  auto& to = compiled_[bus_key];
  auto id = next_id_++;
  to.patterns.add(id, *std::move(read));
  to.keys[id] = key;
  to.ids[key] = id;
}

void Config::forget(const std::string& bus_key, const std::string& key) {
  auto& from = compiled_[bus_key];
  if (auto found = from.ids.find(key); found != from.ids.end()) {
    from.patterns.remove(found->second);
    from.keys.erase(found->second);
    from.ids.erase(found);
  }
  if (key.starts_with("archive/")) from.catch_all.erase(key.substr(8));
}

Table<Bus>::Row Config::find_bus(const BusRef& ref) const {
  auto found = buses.find(ref.key());
  if (found || !ref.is_default()) return found;
  auto made = std::make_shared<Bus>();
  made->ref = ref;
  made->about.set_name(ref.name).set_arn(ref.arn());
  return made;
}

// "…:api-destination/NAME/ID".
Table<ApiDestination>::Row Config::find_destination(std::string_view arn) const {
  auto name = name_in_arn(arn, "api-destination");
  auto found = destinations.find(key_of(events::scope_of_arn(arn), name.substr(0, name.find('/'))));
  return found && found->about.api_destination_arn() == arn ? found : nullptr;
}

Table<Connection>::Row Config::find_connection(std::string_view arn) const {
  auto name = name_in_arn(arn, "connection");
  auto found = connections.find(key_of(events::scope_of_arn(arn), name.substr(0, name.find('/'))));
  return found && found->about.connection_arn() == arn ? found : nullptr;
}

std::size_t Config::rules_on(const BusRef& bus) const {
  auto found = rule_counts_.find(bus.key());
  return found == rule_counts_.end() ? 0 : found->second;
}

Config::Matches Config::match(const BusRef& bus, const wire::Json& event) {
  Matches out;
  auto found = compiled_.find(bus.key());
  if (found == compiled_.end()) return out;
  auto& compiled = found->second;
  for (auto id : compiled.patterns.match(event)) {
    const auto& key = compiled.keys.at(id);
    if (key.starts_with("rule/")) {
      out.rules.push_back(rules.find(std::string_view(key).substr(5)));
    } else {
      out.archives.push_back(archives.find(std::string_view(key).substr(8)));
    }
  }
  for (const auto& key : compiled.catch_all) out.archives.push_back(archives.find(key));
  return out;
}

}  // namespace mayfly::services::bus
