// The targets of rules.
#include "base/limits.h"
#include "events/switchboard.h"
#include "services/events/service.h"
#include "services/events/target_input.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<Rule>::Row;

Refusal no_rule(const RuleRef& ref) {
  return not_found(fmt::format("Rule {} does not exist on EventBus {}.", ref.name, ref.bus.name));
}

// Parameters of targets that this server does not have.
std::string_view foreign_parameters(const model::Target& target) {
  if (target.has_app_sync_parameters()) return "AppSyncParameters";
  if (target.has_batch_parameters()) return "BatchParameters";
  if (target.has_ecs_parameters()) return "EcsParameters";
  if (target.has_kinesis_parameters()) return "KinesisParameters";
  if (target.has_redshift_data_parameters()) return "RedshiftDataParameters";
  if (target.has_run_command_parameters()) return "RunCommandParameters";
  if (target.has_sage_maker_pipeline_parameters()) return "SageMakerPipelineParameters";
  return {};
}

ApiResult<void> check_arn(const Context& context, const model::Target& target) {
  auto arn = target.arn().value_or("");
  auto id = target.id().value_or("");
  if (!arn.starts_with("arn:") || std::ranges::count(arn, ':') < 5) {
    return invalid(fmt::format(
        "Parameter {} is not valid. Reason: Provided Arn is not in correct format.", arn));
  }
  bool destination = !name_in_arn(arn, "api-destination").empty();
  if (destination && !context.config.find_destination(arn)) {
    return not_found(fmt::format("ApiDestination {} does not exist.", arn));
  }
  bool own = events::service_of_arn(arn) == "events";
  if (own && !destination && name_in_arn(arn, "event-bus").empty()) {
    return invalid(fmt::format("{} cannot be a target.", arn));
  }
  if (!own && context.switchboard.target(arn) == nullptr) {
    return invalid(
        fmt::format("Target {}: this server has no service '{}' that could take the events of {}.",
                    id, events::service_of_arn(arn), arn));
  }
  if (auto name = foreign_parameters(target); !name.empty()) {
    return invalid(
        fmt::format("Parameter {} of target {} is for a service that this server does "
                    "not have.",
                    name, id));
  }
  return {};
}

ApiResult<void> check_target(const Context& context, const model::Target& target) {
  TRY(check_arn(context, target));
  TRY(check_input(target));
  auto arn = target.arn().value_or("");
  auto id = target.id().value_or("");
  auto sqs = target.sqs_parameters();
  bool fifo = events::service_of_arn(arn) == "sqs" && arn.ends_with(".fifo");
  if (fifo && (!sqs || sqs->message_group_id().value_or("").empty())) {
    return invalid(fmt::format("Parameter(s) SqsParameters must be specified for target: {}.", id));
  }
  if (auto letters = target.dead_letter_config()) {
    auto queue = letters->arn().value_or("");
    if (!queue.empty() && (events::service_of_arn(queue) != "sqs" || queue.ends_with(".fifo"))) {
      return invalid(fmt::format(
          "Parameter DeadLetterConfig.Arn of target {} must be the ARN of a standard queue.", id));
    }
  }
  return {};
}

// With each given target in place of the one of its id.
ApiResult<std::vector<model::Target>> merged(std::vector<model::Target> targets,
                                             const std::vector<model::Target>& given) {
  for (const auto& target : given) {
    auto same =
        std::ranges::find_if(targets, [&](const auto& one) { return one.id() == target.id(); });
    if (same == targets.end()) {
      targets.push_back(target);
    } else {
      *same = target;
    }
  }
  if (targets.size() > limits::events_targets) {
    return over_limit("targets of a rule", limits::events_targets);
  }
  return targets;
}

Answer put_targets(Context context, api::Call& call, wire::Record input) {
  model::PutTargetsRequest in(std::move(input));
  CO_TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  RuleRef ref{bus, std::string(in.rule().value_or(""))};
  std::vector<model::Target> given;
  for (const auto& target : in.targets()) given.push_back(copy_of(target));
  for (const auto& target : given) CO_TRY(check_target(context, target));
  CO_TRY(co_await context.config.rules.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    if (!now) return no_rule(ref);
    auto next = std::make_shared<Rule>(*now);
    TRY_ASSIGN(next->targets, merged(now->targets, given));
    return next;
  }));
  co_return model::PutTargetsResponse()
      .set_failed_entry_count(0)
      .set_failed_entries(std::vector<model::PutTargetsResultEntry>())
      .record();
}

Answer remove_targets(Context context, api::Call& call, wire::Record input) {
  model::RemoveTargetsRequest in(std::move(input));
  CO_TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  RuleRef ref{bus, std::string(in.rule().value_or(""))};
  std::vector<model::RemoveTargetsResultEntry> failed;
  CO_TRY(co_await context.config.rules.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    if (!now) return no_rule(ref);
    auto next = std::make_shared<Rule>(*now);
    failed.clear();
    for (auto id : in.ids()) {
      auto gone = std::erase_if(next->targets, [&](const auto& one) { return one.id() == id; });
      if (gone > 0) continue;
      model::RemoveTargetsResultEntry entry;
      entry.set_target_id(std::string(id))
          .set_error_code("ResourceNotFoundException")
          .set_error_message(fmt::format("Rule {} does not have a target {}.", ref.name, id));
      failed.push_back(std::move(entry));
    }
    return next;
  }));
  model::RemoveTargetsResponse out;
  out.set_failed_entry_count(static_cast<std::int64_t>(failed.size()));
  out.set_failed_entries(std::move(failed));
  co_return std::move(out).take();
}

Answer list_targets_by_rule(Context context, api::Call& call, wire::Record input) {
  model::ListTargetsByRuleRequest in(std::move(input));
  CO_TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  RuleRef ref{bus, std::string(in.rule().value_or(""))};
  auto rule = context.config.rules.find(ref.key());
  if (!rule) co_return no_rule(ref);
  CO_TRY_ASSIGN(auto after, key_of_token(in.next_token()));
  auto most = static_cast<std::size_t>(in.limit().value_or(limits::events_page));
  std::vector<model::Target> found;
  model::ListTargetsByRuleResponse out;
  bool on = after.empty();
  for (const auto& target : rule->targets) {
    if (on && found.size() == most) {
      out.set_next_token(token_of(found.back().id().value_or("")));
      break;
    }
    if (on) found.push_back(copy_of(target));
    on = on || target.id() == after;
  }
  out.set_targets(std::move(found));
  co_return std::move(out).take();
}

}  // namespace

std::span<const Operation> target_operations() {
  static constexpr std::array<Operation, 3> rows{{{"ListTargetsByRule", list_targets_by_rule},
                                                  {"PutTargets", put_targets},
                                                  {"RemoveTargets", remove_targets}}};
  return rows;
}

}  // namespace mayfly::services::bus
