// Config: everything that clients configure, and for each bus the patterns of its rules and
// archives compiled into one set. The default bus is there in every account and region, whether it
// has a record or not.
//
// Rows: bus/ACCOUNT/REGION/NAME, rule/ACCOUNT/REGION/BUS/NAME, archive/…, replay/…, connection/…,
// destination/ACCOUNT/REGION/NAME. Loop thread; as long as the service.
#pragma once

#include "services/events/bus_event.h"
#include "services/events/records.h"
#include "services/events/table.h"
#include "wire/pattern_set.h"

namespace mayfly::services::bus {

class Config {
 public:
  Config(io::Loop& loop, store::Store& store);
  // Once, after on_rule is set.
  Result<> load();

  Table<Bus> buses;
  Table<Rule> rules;
  Table<Archive> archives;
  Table<Replay> replays;
  Table<Connection> connections;
  Table<ApiDestination> destinations;
  // Beside what this class does itself at each change.
  std::function<void(const Table<Rule>::Row& before, const Table<Rule>::Row& after)> on_rule;

  // nullptr: there is none.
  Table<Bus>::Row find_bus(const BusRef& ref) const;
  Table<ApiDestination>::Row find_destination(std::string_view arn) const;
  Table<Connection>::Row find_connection(std::string_view arn) const;

  std::size_t rules_on(const BusRef& bus) const;

  struct Matches {
    std::vector<Table<Rule>::Row> rules;  // enabled ones
    std::vector<Table<Archive>::Row> archives;
  };
  Matches match(const BusRef& bus, const wire::Json& event);

 private:
  struct Compiled {
    wire::PatternSet patterns;
    std::map<wire::PatternSet::Id, std::string> keys;  // "rule/KEY", "archive/KEY"
    std::map<std::string, wire::PatternSet::Id, std::less<>> ids;
    std::set<std::string> catch_all;  // archives without a pattern
  };
  void compile(const std::string& bus_key, const std::string& key, std::string_view pattern);
  void forget(const std::string& bus_key, const std::string& key);

  std::map<std::string, Compiled, std::less<>> compiled_;        // by the bus's key
  std::map<std::string, std::size_t, std::less<>> rule_counts_;  // likewise
  wire::PatternSet::Id next_id_ = 1;
};

}  // namespace mayfly::services::bus
