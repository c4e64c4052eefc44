// Operations on groups and their tags.
#include "services/scheduler/service.h"

namespace mayfly::services::scheduler {

namespace {

double seconds(std::int64_t millis) { return static_cast<double>(millis) / 1000; }

Tags read_tags(const std::vector<model::Tag>& given) {
  Tags out;
  for (const auto& tag : given) {
    out.insert_or_assign(std::string(tag.key().value_or("")),
                         std::string(tag.value().value_or("")));
  }
  return out;
}

std::string state_of(const Group& group) { return group.deleting ? "DELETING" : "ACTIVE"; }

// A group by its ARN.
ApiResult<Group> tagged(Scheduler& scheduler, std::optional<std::string_view> arn) {
  auto ref = parse_group_arn(arn.value_or(""));
  if (!ref) return invalid(fmt::format("{} is not the ARN of a schedule group.", arn.value_or("")));
  auto group = scheduler.groups().find(*ref);
  if (!group) return no_group(ref->name);
  return *std::move(group);
}

}  // namespace

Answer create_schedule_group(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::CreateScheduleGroupInput in(std::move(input));
  GroupRef ref{call.scope, std::string(in.name().value_or(""))};
  Tags tags = read_tags(in.tags());
  CO_TRY(check_tags(tags, scheduler.deps().switchboard));
  std::string token(in.client_token().value_or(""));
  auto done = co_await scheduler.groups().create(ref, tags, token);
  if (!done && done.error().kind == ErrorKind::too_large) {
    co_return Refusal(model::service_quota_exceeded_exception(
        fmt::format("The number of schedule groups is at its limit: {}.", done.error().message)));
  }
  if (!done && done.error().kind != ErrorKind::already_exists) co_return failure(done.error());
  if (!done) {
    // A retry of the call that made it.
    auto there = scheduler.groups().find(ref);
    bool same = there && !token.empty() && there->token == token && there->tags == tags;
    if (!same) {
      co_return Refusal(
          model::conflict_exception(fmt::format("Schedule group {} already exists.", ref.name)));
    }
  }
  co_return model::CreateScheduleGroupOutput().set_schedule_group_arn(ref.arn()).record();
}

Answer get_schedule_group(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::GetScheduleGroupInput in(std::move(input));
  GroupRef ref{call.scope, std::string(in.name().value_or(""))};
  auto group = scheduler.groups().find(ref);
  if (!group) co_return no_group(ref.name);
  co_return model::GetScheduleGroupOutput()
      .set_arn(ref.arn())
      .set_name(ref.name)
      .set_state(state_of(*group))
      .set_creation_date(seconds(group->created_ms))
      .set_last_modification_date(seconds(group->modified_ms))
      .record();
}

Answer delete_schedule_group(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::DeleteScheduleGroupInput in(std::move(input));
  GroupRef ref{call.scope, std::string(in.name().value_or(""))};
  if (ref.name == default_group) {
    co_return invalid("The default schedule group cannot be deleted.");
  }
  auto group = scheduler.groups().find(ref);
  if (!group) {
    if (scheduler.deleted_before(ref.arn(), in.client_token())) co_return wire::Record();
    co_return no_group(ref.name);
  }
  scheduler.note_deletion(ref.arn(), in.client_token());
  if (group->deleting) co_return wire::Record();
  auto done = co_await scheduler.delete_group(ref);
  if (!done && done.error().kind == ErrorKind::not_found) co_return no_group(ref.name);
  if (!done) co_return failure(done.error());
  co_return wire::Record();
}

Answer list_schedule_groups(Scheduler& scheduler, api::Call& call, wire::Record input) {
  model::ListScheduleGroupsInput in(std::move(input));
  auto most = static_cast<std::size_t>(
      in.max_results().value_or(static_cast<std::int64_t>(limits::schedule_page)));
  CO_TRY_ASSIGN(auto after, read_token(in.next_token()));
  auto found = scheduler.groups().list(call.scope, in.name_prefix().value_or(""), after, most + 1);
  bool more = found.size() > most;
  if (more) found.pop_back();
  std::vector<model::ScheduleGroupSummary> summaries;
  for (const auto& group : found) {
    model::ScheduleGroupSummary one;
    one.set_arn(group.ref.arn())
        .set_name(group.ref.name)
        .set_state(state_of(group))
        .set_creation_date(seconds(group.created_ms))
        .set_last_modification_date(seconds(group.modified_ms));
    summaries.push_back(std::move(one));
  }
  model::ListScheduleGroupsOutput out;
  out.set_schedule_groups(std::move(summaries));
  if (more) out.set_next_token(write_token(found.back().ref.name));
  co_return std::move(out).take();
}

Answer tag_resource(Scheduler& scheduler, api::Call&, wire::Record input) {
  model::TagResourceInput in(std::move(input));
  CO_TRY_ASSIGN(auto group, tagged(scheduler, in.resource_arn()));
  Tags given = read_tags(in.tags());
  Tags all = group.tags;
  for (const auto& [name, value] : given) all.insert_or_assign(name, value);
  CO_TRY(check_tags(all, scheduler.deps().switchboard));
  auto done = co_await scheduler.groups().change(group.ref, [&given](Group& changed) {
    for (const auto& [name, value] : given) changed.tags.insert_or_assign(name, value);
  });
  if (!done && done.error().kind == ErrorKind::not_found) co_return no_group(group.ref.name);
  if (!done) co_return failure(done.error());
  co_return wire::Record();
}

Answer untag_resource(Scheduler& scheduler, api::Call&, wire::Record input) {
  model::UntagResourceInput in(std::move(input));
  CO_TRY_ASSIGN(auto group, tagged(scheduler, in.resource_arn()));
  std::vector<std::string> keys;
  for (auto key : in.tag_keys()) keys.emplace_back(key);
  auto done = co_await scheduler.groups().change(group.ref, [&keys](Group& changed) {
    for (const auto& key : keys) changed.tags.erase(key);
  });
  if (!done && done.error().kind == ErrorKind::not_found) co_return no_group(group.ref.name);
  if (!done) co_return failure(done.error());
  co_return wire::Record();
}

Answer list_tags_for_resource(Scheduler& scheduler, api::Call&, wire::Record input) {
  model::ListTagsForResourceInput in(std::move(input));
  CO_TRY_ASSIGN(auto group, tagged(scheduler, in.resource_arn()));
  std::vector<model::Tag> tags;
  for (const auto& [name, value] : group.tags) {
    model::Tag tag;
    tag.set_key(name).set_value(value);
    tags.push_back(std::move(tag));
  }
  model::ListTagsForResourceOutput out;
  out.set_tags(std::move(tags));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::scheduler
