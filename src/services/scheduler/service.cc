#include "services/scheduler/service.h"

#include "api/input.h"
#include "wire/text.h"

namespace mayfly::services::scheduler {

namespace {

using Handle = Answer (*)(Scheduler&, api::Call&, wire::Record);

struct Row {
  std::string_view name;
  Handle handler;
};
constexpr std::array<Row, 12> rows{{
    {"CreateSchedule", create_schedule},
    {"CreateScheduleGroup", create_schedule_group},
    {"DeleteSchedule", delete_schedule},
    {"DeleteScheduleGroup", delete_schedule_group},
    {"GetSchedule", get_schedule},
    {"GetScheduleGroup", get_schedule_group},
    {"ListScheduleGroups", list_schedule_groups},
    {"ListSchedules", list_schedules},
    {"ListTagsForResource", list_tags_for_resource},
    {"TagResource", tag_resource},
    {"UntagResource", untag_resource},
    {"UpdateSchedule", update_schedule},
}};

using api::text_of;

// A schedule lies in a group, which is the default one where none is named.
std::string resource_of(const api::Operation& operation, const wire::Record& input,
                        const Scope& scope) {
  if (auto arn = text_of(input, "ResourceArn"); !arn.empty()) return arn;
  auto name = text_of(input, "Name");
  if (name.empty()) return "*";
  if (operation.name.ends_with("Group")) return GroupRef{scope, name}.arn();
  auto group = text_of(input, "GroupName");
  return ScheduleRef{scope, group.empty() ? std::string(default_group) : group, name}.arn();
}

}  // namespace

api::Service make_scheduler_service(Scheduler& scheduler) {
  api::Service service;
  service.model = &model::model;
  service.resource = resource_of;
  for (const auto& row : rows) {
    service.handlers[row.name] = [&scheduler, handler = row.handler](api::Call& call,
                                                                     wire::Record input) -> Answer {
      return handler(scheduler, call, std::move(input));
    };
  }
  return service;
}

ApiResult<std::string> read_token(std::optional<std::string_view> token) {
  if (!token || token->empty()) return std::string();
  auto place = wire::base64url_decode(*token);
  if (!place) return invalid("The NextToken is none that this server gave.");
  return *std::move(place);
}

std::string write_token(std::string_view place) { return wire::base64url_encode(place); }

Result<std::optional<std::string>> runs_json(Scheduler& scheduler, std::string_view arn) {
  auto ref = parse_schedule_arn(arn);
  if (!ref) return std::nullopt;
  auto& schedules = scheduler.schedules();
  TRY_ASSIGN(auto schedule, schedules.find(*ref));
  if (!schedule) return std::nullopt;
  TRY_ASSIGN(auto next, schedules.next_of(*ref));
  TRY_ASSIGN(auto history, schedules.history(*ref));
  wire::JsonArray runs;
  for (const auto& text : history) {
    TRY_ASSIGN(auto run, wire::parse_json(text));
    runs.push_back(std::move(run));
  }
  wire::Json out{wire::JsonObject()};
  if (next.due_ms) {
    out["due"] = *next.due_ms;
    out["scheduled"] = next.at;
  }
  out["runs"] = std::move(runs);
  return out.dump();
}

}  // namespace mayfly::services::scheduler
