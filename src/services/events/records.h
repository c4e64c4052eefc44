// What is kept of buses, rules, archives, replays, connections and API destinations: as the model
// describes each to clients, and what clients are not told. Views share their record: what is kept
// is never written to, copy_of() makes another.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/record_json.h"
#include "services/events/errors.h"
#include "services/events/names.h"
#include "wire/json.h"

namespace mayfly::services::bus {

using Tags = std::map<std::string, std::string>;
using api::copy_of;
using api::json_of;
using api::record_of;
using api::summary_of;

struct Bus {
  BusRef ref;
  model::DescribeEventBusResponse about;
  Tags tags;
  std::string key() const { return ref.key(); }
};

struct Rule {
  RuleRef ref;
  model::DescribeRuleResponse about;
  std::vector<model::Target> targets;
  Tags tags;
  std::int64_t since_ms = 0;  // from when on a rate counts
  std::string key() const { return ref.key(); }
  bool enabled() const { return about.state().value_or("ENABLED") != "DISABLED"; }
};

struct Archive {
  Scope scope;
  std::string id;  // of its log; never used again
  model::DescribeArchiveResponse about;
  std::string name() const { return std::string(about.archive_name().value_or("")); }
  std::string key() const { return key_of(scope, name()); }
  std::string log() const { return "archive/" + id; }
};

struct Replay {
  Scope scope;
  model::DescribeReplayResponse about;
  // Entries of the archive up to here are replayed.
  std::int64_t place_ms = INT64_MIN;
  std::uint64_t place_seq = 0;
  std::string name() const { return std::string(about.replay_name().value_or("")); }
  std::string key() const { return key_of(scope, name()); }
  std::string_view state() const { return about.state().value_or(""); }
  bool under_way() const {
    return state() == "STARTING" || state() == "RUNNING" || state() == "CANCELLING";
  }
};

struct Connection {
  Scope scope;
  model::DescribeConnectionResponse about;  // without what is secret
  std::string sealed;                       // that (vault.h); empty: nothing
  std::string name() const { return std::string(about.name().value_or("")); }
  std::string key() const { return key_of(scope, name()); }
};

struct ApiDestination {
  Scope scope;
  model::DescribeApiDestinationResponse about;
  std::string name() const { return std::string(about.name().value_or("")); }
  std::string key() const { return key_of(scope, name()); }
};

std::string encode(const Bus& bus);
std::string encode(const Rule& rule);
std::string encode(const Archive& archive);
std::string encode(const Replay& replay);
std::string encode(const Connection& connection);
std::string encode(const ApiDestination& destination);
Result<> decode(std::string_view bytes, Bus& bus);
Result<> decode(std::string_view bytes, Rule& rule);
Result<> decode(std::string_view bytes, Archive& archive);
Result<> decode(std::string_view bytes, Replay& replay);
Result<> decode(std::string_view bytes, Connection& connection);
Result<> decode(std::string_view bytes, ApiDestination& destination);

}  // namespace mayfly::services::bus
