// Names: schedules and their groups by name, ARN and place in the store.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace mayfly::services::scheduler {

inline constexpr std::string_view default_group = "default";

struct GroupRef {
  Scope scope;
  std::string name;
  std::string arn() const;
  std::string path() const;  // "ACCOUNT/REGION/GROUP"
  auto operator<=>(const GroupRef&) const = default;
};

struct ScheduleRef {
  Scope scope;
  std::string group;
  std::string name;
  std::string arn() const;
  std::string path() const;  // "ACCOUNT/REGION/GROUP/NAME"; none of the parts has a slash
  GroupRef in() const { return {scope, group}; }
  auto operator<=>(const ScheduleRef&) const = default;
};

std::optional<GroupRef> parse_group_arn(std::string_view arn);
std::optional<ScheduleRef> parse_schedule_arn(std::string_view arn);
std::optional<ScheduleRef> parse_path(std::string_view path);

// arn:aws:scheduler:::aws-sdk:SERVICE:ACTION
struct UniversalTarget {
  std::string service;
  std::string action;
};
std::optional<UniversalTarget> parse_universal(std::string_view arn);

}  // namespace mayfly::services::scheduler
