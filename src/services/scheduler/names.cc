#include "services/scheduler/names.h"

#include "wire/text.h"

namespace mayfly::services::scheduler {

namespace {

// "schedule/…" or "schedule-group/…" of "arn:aws:scheduler:REGION:ACCOUNT:…".
std::optional<Scope> read_arn(std::string_view arn, std::string_view kind, std::string_view& rest) {
  auto parts = wire::split(arn, ':');
  if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "scheduler") return std::nullopt;
  if (!parts[5].starts_with(kind)) return std::nullopt;
  rest = parts[5].substr(kind.size());
  return Scope{AccountId(std::string(parts[4])), Region(std::string(parts[3]))};
}

}  // namespace

std::string GroupRef::arn() const {
  return fmt::format("arn:aws:scheduler:{}:{}:schedule-group/{}", scope.region.str(),
                     scope.account.str(), name);
}

std::string GroupRef::path() const {
  return fmt::format("{}/{}/{}", scope.account.str(), scope.region.str(), name);
}

std::string ScheduleRef::arn() const {
  return fmt::format("arn:aws:scheduler:{}:{}:schedule/{}/{}", scope.region.str(),
                     scope.account.str(), group, name);
}

std::string ScheduleRef::path() const { return fmt::format("{}/{}", in().path(), name); }

std::optional<GroupRef> parse_group_arn(std::string_view arn) {
  std::string_view name;
  auto scope = read_arn(arn, "schedule-group/", name);
  if (!scope || name.empty() || name.contains('/')) return std::nullopt;
  return GroupRef{*std::move(scope), std::string(name)};
}

std::optional<ScheduleRef> parse_schedule_arn(std::string_view arn) {
  std::string_view rest;
  auto scope = read_arn(arn, "schedule/", rest);
  if (!scope) return std::nullopt;
  auto parts = wire::split(rest, '/');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) return std::nullopt;
  return ScheduleRef{*std::move(scope), std::string(parts[0]), std::string(parts[1])};
}

std::optional<ScheduleRef> parse_path(std::string_view path) {
  auto parts = wire::split(path, '/');
  if (parts.size() != 4) return std::nullopt;
  return ScheduleRef{{AccountId(std::string(parts[0])), Region(std::string(parts[1]))},
                     std::string(parts[2]),
                     std::string(parts[3])};
}

std::optional<UniversalTarget> parse_universal(std::string_view arn) {
  auto parts = wire::split(arn, ':');
  bool universal = parts.size() == 8 && parts[0] == "arn" && parts[2] == "scheduler" &&
                   parts[3].empty() && parts[4].empty() && parts[5] == "aws-sdk";
  if (!universal || parts[6].empty() || parts[7].empty()) return std::nullopt;
  return UniversalTarget{std::string(parts[6]), std::string(parts[7])};
}

}  // namespace mayfly::services::scheduler
