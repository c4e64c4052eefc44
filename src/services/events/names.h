// Names: buses and rules by name and ARN; the ARNs of everything else.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace mayfly::services::bus {

inline constexpr std::string_view default_bus = "default";
inline constexpr std::string_view principal = "events.amazonaws.com";

std::string key_of(const Scope& scope, std::string_view name);  // "ACCOUNT/REGION/NAME"
// "arn:aws:events:REGION:ACCOUNT:KIND/NAME"
std::string arn_of(const Scope& scope, std::string_view kind, std::string_view name);

struct BusRef {
  Scope scope;
  std::string name;
  std::string arn() const { return arn_of(scope, "event-bus", name); }
  std::string key() const { return key_of(scope, name); }
  bool is_default() const { return name == default_bus; }
  auto operator<=>(const BusRef&) const = default;
};

struct RuleRef {
  BusRef bus;
  std::string name;
  // The default bus is not named.
  std::string arn() const;
  std::string key() const { return bus.key() + "/" + name; }
};

// A name or an ARN; empty: the default bus. Names are not looked up. nullopt: the ARN of something
// else.
std::optional<BusRef> parse_bus(std::string_view name_or_arn, const Scope& here);
std::optional<BusRef> parse_bus_arn(std::string_view arn);
std::optional<RuleRef> parse_rule_arn(std::string_view arn);
// What is behind "KIND/" in an ARN of this service; empty: it is none of that kind.
std::string_view name_in_arn(std::string_view arn, std::string_view kind);

}  // namespace mayfly::services::bus
