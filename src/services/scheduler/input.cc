#include "services/scheduler/input.h"

#include "gate/breaker.h"
#include "gate/flow.h"

namespace mayfly::services::scheduler {

namespace {

std::int64_t millis(double epoch_seconds) {
  return static_cast<std::int64_t>(epoch_seconds * 1000);
}

ApiResult<void> read_times(const model::CreateScheduleInput& in, Schedule& out,
                           std::int64_t now_ms) {
  auto parsed = wire::ScheduleExpression::parse(out.expression);
  if (!parsed) {
    // The cloud says no more than the first sentence.
    return invalid(fmt::format("Invalid Schedule Expression {}. Reason: {}.", out.expression,
                               parsed.error().message));
  }
  if (auto start = in.start_date()) out.start_ms = millis(*start);
  if (auto end = in.end_date()) out.end_ms = millis(*end);
  if (parsed->kind() == wire::ScheduleExpression::Kind::at) return {};
  auto oldest = now_ms - std::chrono::milliseconds(limits::schedule_start_oldest).count();
  if (out.start_ms && *out.start_ms < oldest) {
    return invalid("The StartDate you specify cannot be earlier than 5 minutes ago.");
  }
  if (out.end_ms && *out.end_ms <= now_ms) {
    return invalid("The EndDate you specify must be in the future.");
  }
  if (out.start_ms && out.end_ms && *out.start_ms >= *out.end_ms) {
    return invalid("The StartDate you specify must come before the EndDate.");
  }
  return {};
}

ApiResult<void> read_window(const model::CreateScheduleInput& in, Schedule& out) {
  auto window = in.flexible_time_window();
  if (!window) return {};
  auto minutes = window->maximum_window_in_minutes();
  bool flexible = window->mode().value_or("OFF") == "FLEXIBLE";
  if (flexible && !minutes) {
    return invalid(
        "MaximumWindowInMinutes must be provided when the mode of the "
        "FlexibleTimeWindow is FLEXIBLE.");
  }
  if (!flexible && minutes) {
    return invalid(
        "MaximumWindowInMinutes cannot be provided when the mode of the "
        "FlexibleTimeWindow is OFF.");
  }
  out.window_minutes = minutes.value_or(0);
  return {};
}

// User guide, "Using universal targets".
bool reads_only(std::string_view action) {
  constexpr auto prefixes = std::to_array<std::string_view>({"get",
                                                             "describe",
                                                             "list",
                                                             "poll",
                                                             "receive",
                                                             "search",
                                                             "scan",
                                                             "query",
                                                             "select",
                                                             "read",
                                                             "lookup",
                                                             "discover",
                                                             "validate",
                                                             "batchGet",
                                                             "batchDescribe",
                                                             "batchRead",
                                                             "transactGet",
                                                             "adminGet",
                                                             "adminList",
                                                             "testMigration",
                                                             "retrieve",
                                                             "testConnection",
                                                             "translateDocument",
                                                             "isAuthorized",
                                                             "invokeModel"});
  return std::ranges::any_of(prefixes,
                             [&](std::string_view prefix) { return action.starts_with(prefix); });
}

ApiResult<void> check_universal(const UniversalTarget& universal, const Target& target,
                                const Scheduler::Deps& deps) {
  std::string action = universal.action;
  if (action[0] >= 'A' && action[0] <= 'Z') action[0] = static_cast<char>(action[0] + 32);
  if (reads_only(action)) {
    return invalid(fmt::format("{} is not a supported action of a universal target: it only reads.",
                               target.arn));
  }
  if (auto there = deps.calls.check(universal.service, universal.action); !there) {
    return Refusal(std::move(there.error()));
  }
  auto input = wire::parse_json(target.input.value_or("{}"));
  if (!input || !input->is_object()) {
    return invalid(
        "Invalid RequestJson provided. Reason: The Input of a universal target must be "
        "a JSON object of the operation's parameters.");
  }
  return {};
}

// Parameters of targets that this server has not.
ApiResult<void> check_parameters(const model::Target& in) {
  if (in.has_ecs_parameters()) return not_built("EcsParameters: tasks of ECS are not built.");
  if (in.has_kinesis_parameters()) return not_built("KinesisParameters: streams are not built.");
  if (in.has_sage_maker_pipeline_parameters()) {
    return not_built("SageMakerPipelineParameters: pipelines are not built.");
  }
  return {};
}

ApiResult<void> check_templated(const Target& target, const ScheduleRef& ref,
                                const Scheduler::Deps& deps) {
  auto service = events::service_of_arn(target.arn);
  if (!target.arn.starts_with("arn:") || service.empty() || target.arn.ends_with(':')) {
    return invalid("Provided Arn is not in correct format.");
  }
  auto* to = deps.switchboard.target(target.arn);
  if (to == nullptr) {
    return not_built(
        fmt::format("{} cannot be a target: this server has no service '{}' that "
                    "schedules could call.",
                    target.arn, service));
  }
  bool json = service == "lambda" || service == "events" || service == "states";
  if (json && target.input && !wire::parse_json(*target.input)) {
    return invalid(
        "Invalid RequestJson provided. Reason: The Input must be well-formed JSON for "
        "this target.");
  }
  if (service == "events" && target.detail_type.empty()) {
    return invalid("EventBridgeParameters must be provided for a target that is an event bus.");
  }
  if (service != "events" && !target.detail_type.empty()) {
    return invalid("EventBridgeParameters can only be provided for event buses.");
  }
  if (service != "sqs" && !target.message_group.empty()) {
    return invalid("SqsParameters can only be provided for queues.");
  }
  if (service == "sqs" && target.arn.ends_with(".fifo") && target.message_group.empty()) {
    return invalid("SqsParameters with a MessageGroupId must be provided for a FIFO queue.");
  }
  // Targets may come to be later; what they are for is checked when they are called.
  events::Sender sender{.service = "scheduler.amazonaws.com",
                        .source_arn = ref.arn(),
                        .account = ref.scope.account,
                        .role_arn = target.role_arn};
  auto checked = to->check(target.arn, sender);
  if (!checked && checked.error().kind == ErrorKind::invalid) {
    return invalid(std::move(checked.error().message));
  }
  return {};
}

}  // namespace

ApiResult<Target> read_target(const model::Target& in, const ScheduleRef& ref,
                              const Scheduler::Deps& deps) {
  TRY(check_parameters(in));
  Target out;
  out.arn = in.arn().value_or("");
  out.role_arn = in.role_arn().value_or("");
  if (auto input = in.input()) out.input = std::string(*input);
  if (auto dead = in.dead_letter_config()) out.dead_letter_arn = dead->arn().value_or("");
  if (auto retry = in.retry_policy()) {
    out.max_age_seconds = retry->maximum_event_age_in_seconds().value_or(out.max_age_seconds);
    out.max_retries = retry->maximum_retry_attempts().value_or(out.max_retries);
  }
  if (auto sqs = in.sqs_parameters()) out.message_group = sqs->message_group_id().value_or("");
  if (auto bus = in.event_bridge_parameters()) {
    out.detail_type = bus->detail_type().value_or("");
    out.source = bus->source().value_or("");
  }
  if (out.input && out.input->size() > limits::schedule_input_bytes) {
    return invalid(fmt::format("The Input of a target may have {} bytes, not {}.",
                               limits::schedule_input_bytes, out.input->size()));
  }
  if (auto universal = parse_universal(out.arn)) {
    TRY(check_universal(*universal, out, deps));
  } else {
    TRY(check_templated(out, ref, deps));
  }
  return out;
}

ApiResult<Schedule> read_schedule(const model::CreateScheduleInput& in, const ScheduleRef& ref,
                                  const Scheduler::Deps& deps) {
  Schedule out;
  out.expression = in.schedule_expression().value_or("");
  if (auto zone = in.schedule_expression_timezone()) out.zone = *zone;
  if (auto text = in.description()) out.description = std::string(*text);
  out.enabled = in.state().value_or("ENABLED") == "ENABLED";
  out.delete_after_completion = in.action_after_completion().value_or("NONE") == "DELETE";
  out.kms_key_arn = in.kms_key_arn().value_or("");
  TRY(read_times(in, out, epoch_millis(deps.loop.clock().platform())));
  TRY(read_window(in, out));
  if (auto zone = deps.zones(out.zone); !zone) {
    return invalid(fmt::format("Invalid ScheduleExpressionTimezone {}. Reason: {}.", out.zone,
                               zone.error().message));
  }
  auto target = in.target();
  if (!target) return invalid("A schedule needs a Target.");
  TRY_ASSIGN(out.target, read_target(*target, ref, deps));
  out.digest = digest_of(out);
  return out;
}

namespace {

constexpr std::string_view group_tags[] = {missed_tag, overlap_tag, gate::breaker_tag};

ApiResult<void> check_own_tags(const Tags& tags, const events::Switchboard& switchboard) {
  if (auto known = gate::check_known(tags, group_tags, "a schedule group"); !known) {
    return invalid(known.error().message + ".");
  }
  auto breaker = gate::breaker_of(tags);
  if (!breaker) return invalid(breaker.error().message + ".");
  if (*breaker == nullptr || (*breaker)->fallback.empty() ||
      switchboard.target((*breaker)->fallback) != nullptr) {
    return {};
  }
  return invalid(fmt::format("The fallback {} is nothing that this server could push to.",
                             (*breaker)->fallback));
}

}  // namespace

ApiResult<void> check_tags(const Tags& tags, const events::Switchboard& switchboard) {
  if (tags.size() > limits::schedule_tags) {
    return Refusal(model::service_quota_exceeded_exception(
        fmt::format("A schedule group may have {} tags.", limits::schedule_tags)));
  }
  for (const auto& [name, value] : tags) {
    if (name.starts_with("aws:")) {
      return invalid("Tag keys that start with aws: are reserved for the cloud's own use.");
    }
    if (name == missed_tag && !parse_missed(value)) {
      return invalid(fmt::format("The tag {} must be all, once or skip, not '{}'.", name, value));
    }
    if (name == overlap_tag && !parse_overlap(value)) {
      return invalid(fmt::format("The tag {} must be allow or skip, not '{}'.", name, value));
    }
  }
  return check_own_tags(tags, switchboard);
}

}  // namespace mayfly::services::scheduler
