#include "services/events/names.h"

#include <fmt/format.h>

#include "events/switchboard.h"
#include "wire/text.h"

namespace mayfly::services::bus {

std::string key_of(const Scope& scope, std::string_view name) {
  return fmt::format("{}/{}/{}", scope.account.str(), scope.region.str(), name);
}

std::string arn_of(const Scope& scope, std::string_view kind, std::string_view name) {
  return fmt::format("arn:aws:events:{}:{}:{}/{}", scope.region.str(), scope.account.str(), kind,
                     name);
}

std::string RuleRef::arn() const {
  return arn_of(bus.scope, "rule", bus.is_default() ? name : fmt::format("{}/{}", bus.name, name));
}

std::string_view name_in_arn(std::string_view arn, std::string_view kind) {
  auto parts = wire::split(arn, ':');
  if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "events") return {};
  auto resource = parts[5];
  if (!resource.starts_with(kind) || !resource.substr(kind.size()).starts_with('/')) return {};
  return resource.substr(kind.size() + 1);
}

std::optional<BusRef> parse_bus_arn(std::string_view arn) {
  auto name = name_in_arn(arn, "event-bus");
  if (name.empty() || name.find('/') != name.npos) return std::nullopt;
  return BusRef{events::scope_of_arn(arn), std::string(name)};
}

std::optional<BusRef> parse_bus(std::string_view name_or_arn, const Scope& here) {
  if (name_or_arn.starts_with("arn:")) return parse_bus_arn(name_or_arn);
  return BusRef{here, std::string(name_or_arn.empty() ? default_bus : name_or_arn)};
}

std::optional<RuleRef> parse_rule_arn(std::string_view arn) {
  auto name = name_in_arn(arn, "rule");
  if (name.empty()) return std::nullopt;
  auto slash = name.find('/');
  auto bus = slash == name.npos ? default_bus : name.substr(0, slash);
  if (slash != name.npos) name.remove_prefix(slash + 1);
  return RuleRef{{events::scope_of_arn(arn), std::string(bus)}, std::string(name)};
}

}  // namespace mayfly::services::bus
