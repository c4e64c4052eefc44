// Operations on schedules.
#include "services/scheduler/service.h"

namespace mayfly::services::scheduler {

namespace {

ScheduleRef ref_of(const api::Call& call, std::optional<std::string_view> group,
                   std::optional<std::string_view> name) {
  return {call.scope, std::string(group.value_or(default_group)), std::string(name.value_or(""))};
}

double seconds(std::int64_t millis) { return static_cast<double>(millis) / 1000; }

model::Target target_view(const Target& target) {
  model::Target out;
  out.set_arn(target.arn).set_role_arn(target.role_arn);
  if (target.input) out.set_input(*target.input);
  out.set_retry_policy(model::RetryPolicy()
                           .set_maximum_event_age_in_seconds(target.max_age_seconds)
                           .set_maximum_retry_attempts(target.max_retries));
  if (!target.dead_letter_arn.empty()) {
    out.set_dead_letter_config(model::DeadLetterConfig().set_arn(target.dead_letter_arn));
  }
  if (!target.message_group.empty()) {
    out.set_sqs_parameters(model::SqsParameters().set_message_group_id(target.message_group));
  }
  if (!target.detail_type.empty()) {
    out.set_event_bridge_parameters(model::EventBridgeParameters()
                                        .set_detail_type(target.detail_type)
                                        .set_source(target.source));
  }
  return out;
}

std::string state_of(const Schedule& schedule) { return schedule.enabled ? "ENABLED" : "DISABLED"; }

// A name that is taken, by a call that is a retry of the one that took it or by another.
ApiResult<void> taken(Scheduler& scheduler, const ScheduleRef& ref, const Schedule& wanted) {
  auto there = scheduler.schedules().find(ref);
  if (there && *there && !wanted.token.empty() && (*there)->token == wanted.token &&
      (*there)->digest == wanted.digest) {
    return {};
  }
  return Refusal(model::conflict_exception(fmt::format("Schedule {} already exists.", ref.name)));
}

}  // namespace

Answer create_schedule(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::CreateScheduleInput in(std::move(input));
  auto ref = ref_of(call, in.group_name(), in.name());
  CO_TRY_ASSIGN(auto schedule, read_schedule(in, ref, scheduler.deps()));
  schedule.token = in.client_token().value_or("");
  auto group = scheduler.groups().find(ref.in());
  if (group && group->deleting) {
    co_return Refusal(
        model::conflict_exception(fmt::format("Schedule group {} is being deleted.", ref.group)));
  }
  auto done = co_await scheduler.schedules().create(ref, schedule);
  if (!done) {
    switch (done.error().kind) {
      case ErrorKind::not_found: co_return no_group(ref.group);
      case ErrorKind::already_exists: CO_TRY(taken(scheduler, ref, schedule)); break;
      default: co_return failure(done.error());
    }
  }
  co_return model::CreateScheduleOutput().set_schedule_arn(ref.arn()).record();
}

Answer update_schedule(Scheduler& scheduler, api::Call& call, wire::Record input) {
  // The members of both inputs are the same, in the same order.
  wire::Record same(model::CreateScheduleInput::shape());
  same.slots = std::move(input.slots);
  model::CreateScheduleInput in(std::move(same));
  auto ref = ref_of(call, in.group_name(), in.name());
  CO_TRY_ASSIGN(auto schedule, read_schedule(in, ref, scheduler.deps()));
  if (!scheduler.groups().find(ref.in())) co_return no_group(ref.group);
  auto done = co_await scheduler.schedules().update(ref, std::move(schedule));
  if (!done && done.error().kind == ErrorKind::not_found) co_return no_schedule(ref.name);
  if (!done) co_return failure(done.error());
  co_return model::UpdateScheduleOutput().set_schedule_arn(ref.arn()).record();
}

Answer get_schedule(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::GetScheduleInput in(std::move(input));
  auto ref = ref_of(call, in.group_name(), in.name());
  if (!scheduler.groups().find(ref.in())) co_return no_group(ref.group);
  auto found = scheduler.schedules().find(ref);
  if (!found) co_return failure(found.error());
  if (!*found) co_return no_schedule(ref.name);
  const Schedule& schedule = **found;
  model::FlexibleTimeWindow window;
  window.set_mode(schedule.window_minutes > 0 ? "FLEXIBLE" : "OFF");
  if (schedule.window_minutes > 0) window.set_maximum_window_in_minutes(schedule.window_minutes);
  model::GetScheduleOutput out;
  out.set_arn(ref.arn())
      .set_name(ref.name)
      .set_group_name(ref.group)
      .set_schedule_expression(schedule.expression)
      .set_schedule_expression_timezone(schedule.zone)
      .set_state(state_of(schedule))
      .set_action_after_completion(schedule.delete_after_completion ? "DELETE" : "NONE")
      .set_flexible_time_window(std::move(window))
      .set_target(target_view(schedule.target))
      .set_creation_date(seconds(schedule.created_ms))
      .set_last_modification_date(seconds(schedule.modified_ms));
  if (schedule.description) out.set_description(*schedule.description);
  if (schedule.start_ms) out.set_start_date(seconds(*schedule.start_ms));
  if (schedule.end_ms) out.set_end_date(seconds(*schedule.end_ms));
  if (!schedule.kms_key_arn.empty()) out.set_kms_key_arn(schedule.kms_key_arn);
  co_return std::move(out).take();
}

Answer delete_schedule(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::DeleteScheduleInput in(std::move(input));
  auto ref = ref_of(call, in.group_name(), in.name());
  auto done = co_await scheduler.schedules().remove(ref);
  if (!done && done.error().kind != ErrorKind::not_found) co_return failure(done.error());
  if (!done) {
    if (scheduler.deleted_before(ref.arn(), in.client_token())) co_return wire::Record();
    if (!scheduler.groups().find(ref.in())) co_return no_group(ref.group);
    co_return no_schedule(ref.name);
  }
  scheduler.note_deletion(ref.arn(), in.client_token());
  co_return wire::Record();
}

Answer list_schedules(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::ListSchedulesInput in(std::move(input));
  Schedules::Query query{.scope = call.scope};
  query.group = in.group_name().value_or("");
  query.prefix = in.name_prefix().value_or("");
  if (auto state = in.state()) query.enabled = *state == "ENABLED";
  if (auto most = in.max_results()) query.most = static_cast<std::size_t>(*most);
  CO_TRY_ASSIGN(query.after, read_token(in.next_token()));
  if (!query.group.empty() && !scheduler.groups().find({call.scope, query.group})) {
    co_return no_group(query.group);
  }
  auto page = scheduler.schedules().list(query);
  if (!page) co_return failure(page.error());
  std::vector<model::ScheduleSummary> summaries;
  for (const auto& [ref, schedule] : page->found) {
    model::ScheduleSummary one;
    one.set_arn(ref.arn())
        .set_name(ref.name)
        .set_group_name(ref.group)
        .set_state(state_of(schedule))
        .set_target(model::TargetSummary().set_arn(schedule.target.arn))
        .set_creation_date(seconds(schedule.created_ms))
        .set_last_modification_date(seconds(schedule.modified_ms));
    summaries.push_back(std::move(one));
  }
  model::ListSchedulesOutput out;
  out.set_schedules(std::move(summaries));
  if (!page->next.empty()) out.set_next_token(write_token(page->next));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::scheduler
