// Replays of archives.
#include "base/limits.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<Replay>::Row;

Refusal no_replay(std::string_view name) {
  return not_found(fmt::format("Replay {} does not exist.", name));
}

ApiResult<void> check_replay(const Context& context, const model::StartReplayRequest& in,
                             const Scope& scope) {
  auto name = name_in_arn(in.event_source_arn().value_or(""), "archive");
  auto archive = context.config.archives.find(key_of(scope, name));
  if (!archive || archive->about.archive_arn() != in.event_source_arn()) {
    return invalid(fmt::format(
        "Parameter EventSourceArn is not valid. Reason: Archive {} does not exist.", name));
  }
  auto destination = in.destination();
  auto bus = destination ? destination->arn().value_or("") : std::string_view();
  if (archive->about.event_source_arn() != bus) {
    return invalid(
        "Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.");
  }
  for (auto arn : destination->filter_arns()) {
    auto rule = parse_rule_arn(arn);
    if (!rule || rule->bus.arn() != bus) {
      return invalid(fmt::format(
          "Parameter Destination.FilterArns is not valid. Reason: {} is no rule of the bus.", arn));
    }
  }
  if (in.event_start_time().value_or(0) >= in.event_end_time().value_or(0)) {
    return invalid(
        "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.");
  }
  return {};
}

Answer start_replay(Context context, api::Call& call, wire::Record input) {
  model::StartReplayRequest in(std::move(input));
  CO_TRY(check_replay(context, in, call.scope));
  std::size_t under_way = 0;
  for (const auto& row : context.config.replays.list(key_of(call.scope, ""), "", SIZE_MAX)) {
    under_way += row->under_way() ? 1 : 0;
  }
  if (under_way >= limits::events_replays) {
    co_return over_limit("replays under way", limits::events_replays);
  }
  auto made = std::make_shared<Replay>();
  made->scope = call.scope;
  std::string name(in.replay_name().value_or(""));
  made->about.set_replay_name(name)
      .set_replay_arn(arn_of(call.scope, "replay", name))
      .set_state("STARTING")
      .set_event_source_arn(std::string(*in.event_source_arn()))
      .set_event_start_time(in.event_start_time().value_or(0))
      .set_event_end_time(in.event_end_time().value_or(0))
      .set_destination(*in.destination())
      .set_replay_start_time(context.now_s());
  if (auto text = in.description()) made->about.set_description(std::string(*text));
  CO_TRY(co_await context.config.replays.change(made->key(), [&](const Row& now) -> ApiResult<Row> {
    if (now) return exists(fmt::format("Replay {} already exists.", name));
    return made;
  }));
  context.replays.run(made->key());
  co_return summary_of<model::StartReplayResponse>(made->about).take();
}

Answer describe_replay(Context context, api::Call& call, wire::Record input) {
  model::DescribeReplayRequest in(std::move(input));
  auto row = context.config.replays.find(key_of(call.scope, in.replay_name().value_or("")));
  if (!row) co_return no_replay(in.replay_name().value_or(""));
  co_return copy_of(row->about).take();
}

Answer list_replays(Context context, api::Call& call, wire::Record input) {
  model::ListReplaysRequest in(std::move(input));
  std::function<bool(const Replay&)> wanted = [&](const Replay& replay) {
    auto source = in.event_source_arn();
    auto state = in.state();
    return (!source || replay.about.event_source_arn() == *source) &&
           (!state || replay.state() == *state);
  };
  CO_TRY_ASSIGN(auto page,
                page_of(context.config.replays, key_of(call.scope, in.name_prefix().value_or("")),
                        in.next_token(), in.limit(), wanted));
  std::vector<model::Replay> replays;
  for (const auto& row : page.rows) replays.push_back(summary_of<model::Replay>(row->about));
  model::ListReplaysResponse out;
  out.set_replays(std::move(replays));
  if (page.next) out.set_next_token(*std::move(page.next));
  co_return std::move(out).take();
}

Answer cancel_replay(Context context, api::Call& call, wire::Record input) {
  model::CancelReplayRequest in(std::move(input));
  std::string name(in.replay_name().value_or(""));
  CO_TRY_ASSIGN(auto row,
                co_await context.config.replays.change(
                    key_of(call.scope, name), [&](const Row& now) -> ApiResult<Row> {
                      if (!now) return no_replay(name);
                      if (!now->under_way() || now->state() == "CANCELLING") {
                        return Refusal(model::illegal_status_exception(fmt::format(
                            "Replay {} is not in a valid state for this operation.", name)));
                      }
                      auto next = std::make_shared<Replay>(*now);
                      next->about = copy_of(now->about);
                      next->about.set_state("CANCELLING");
                      return next;
                    }));
  co_return summary_of<model::CancelReplayResponse>(row->about).take();
}

}  // namespace

std::span<const Operation> replay_operations() {
  static constexpr std::array<Operation, 4> rows{{{"CancelReplay", cancel_replay},
                                                  {"DescribeReplay", describe_replay},
                                                  {"ListReplays", list_replays},
                                                  {"StartReplay", start_replay}}};
  return rows;
}

}  // namespace mayfly::services::bus
