// Event buses: made, found, listed, changed, deleted, and who may use them.
#include "base/limits.h"
#include "guard/policy_document.h"
#include "services/events/policy.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<Bus>::Row;

std::shared_ptr<Bus> changed(const Bus& from, const Context& context) {
  auto out = std::make_shared<Bus>(from);
  out->about = copy_of(from.about);
  out->about.set_last_modified_time(context.now_s());
  return out;
}

template <class Request>
void take_settings(const Request& in, model::DescribeEventBusResponse& about) {
  if (auto text = in.description()) about.set_description(std::string(*text));
  if (auto key = in.kms_key_identifier()) about.set_kms_key_identifier(std::string(*key));
  if (auto config = in.dead_letter_config()) about.set_dead_letter_config(*config);
  if (auto config = in.log_config()) about.set_log_config(*config);
}

ApiResult<void> check_name(std::string_view name) {
  if (name == default_bus) return {};  // it exists
  if (name.find('/') != name.npos) return invalid("Event bus name must not contain '/'.");
  if (name.starts_with("aws.")) return invalid("Event bus name starting with 'aws.' is not valid.");
  return {};
}

Answer create_event_bus(Context context, api::Call& call, wire::Record input) {
  model::CreateEventBusRequest in(std::move(input));
  BusRef ref{call.scope, std::string(in.name().value_or(""))};
  if (in.event_source_name()) {
    co_return not_found(fmt::format("Event source {} does not exist.", *in.event_source_name()));
  }
  CO_TRY(check_name(ref.name));
  if (context.config.buses.count(key_of(call.scope, "")) >= limits::events_buses) {
    co_return over_limit("event buses", limits::events_buses);
  }
  CO_TRY_ASSIGN(auto tags, read_tags(in.tags()));
  CO_TRY(check_bus_tags(tags));
  auto made = std::make_shared<Bus>();
  made->ref = ref;
  made->tags = std::move(tags);
  made->about.set_name(ref.name)
      .set_arn(ref.arn())
      .set_creation_time(context.now_s())
      .set_last_modified_time(context.now_s());
  take_settings(in, made->about);
  CO_TRY(co_await context.config.buses.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    if (now || ref.is_default())
      return exists(fmt::format("Event bus {} already exists.", ref.name));
    return made;
  }));
  auto out = summary_of<model::CreateEventBusResponse>(made->about);
  out.set_event_bus_arn(ref.arn());
  co_return std::move(out).take();
}

Answer describe_event_bus(Context context, api::Call& call, wire::Record input) {
  model::DescribeEventBusRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, find_bus(context, call, in.name()));
  co_return copy_of(context.config.find_bus(ref)->about).take();
}

Answer list_event_buses(Context context, api::Call& call, wire::Record input) {
  model::ListEventBusesRequest in(std::move(input));
  std::string scope = key_of(call.scope, "");
  CO_TRY_ASSIGN(auto after, key_of_token(in.next_token()));
  auto prefix = in.name_prefix().value_or("");
  auto rows = context.config.buses.list(scope, "", SIZE_MAX);
  BusRef own{call.scope, std::string(default_bus)};
  if (!context.config.buses.find(own.key())) {
    rows.push_back(context.config.find_bus(own));
    std::ranges::sort(rows, {}, [](const Row& row) { return row->ref.name; });
  }
  auto most = static_cast<std::size_t>(in.limit().value_or(limits::events_page));
  std::vector<model::EventBus> found;
  model::ListEventBusesResponse out;
  std::string last;
  for (const auto& row : rows) {
    if (row->key() <= after || !row->ref.name.starts_with(prefix)) continue;
    if (found.size() == most) {
      out.set_next_token(token_of(last));
      break;
    }
    last = row->key();
    found.push_back(summary_of<model::EventBus>(row->about));
  }
  co_return std::move(out.set_event_buses(std::move(found))).take();
}

Answer update_event_bus(Context context, api::Call& call, wire::Record input) {
  model::UpdateEventBusRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, find_bus(context, call, in.name()));
  CO_TRY_ASSIGN(auto row, co_await context.config.buses.change(
                              ref.key(), [&](const Row& now) -> ApiResult<Row> {
                                auto from = now ? now : context.config.find_bus(ref);
                                if (!from) return no_bus(ref.name);
                                auto next = changed(*from, context);
                                take_settings(in, next->about);
                                return next;
                              }));
  co_return summary_of<model::UpdateEventBusResponse>(row->about).take();
}

Answer delete_event_bus(Context context, api::Call& call, wire::Record input) {
  model::DeleteEventBusRequest in(std::move(input));
  auto ref = parse_bus(in.name().value_or(""), call.scope);
  if (!ref) co_return wire::Record();
  if (ref->is_default()) co_return invalid("Cannot delete event bus default.");
  CO_TRY(co_await context.config.buses.change(ref->key(), [&](const Row& now) -> ApiResult<Row> {
    if (now && context.config.rules_on(*ref) > 0) {
      return invalid(fmt::format("Event bus {} can't be deleted since it has rules.", ref->name));
    }
    return nullptr;
  }));
  co_return wire::Record();
}

// A whole policy, or one statement more.
ApiResult<std::string> next_policy(const model::PutPermissionRequest& in, const Bus& bus) {
  if (auto policy = in.policy()) {
    if (policy->size() > limits::events_policy_bytes) {
      return Refusal(model::policy_length_exceeded_exception(fmt::format(
          "The policy of an event bus may have {} bytes.", limits::events_policy_bytes)));
    }
    if (auto read = guard::read_policy(*policy); !read) {
      return invalid(
          fmt::format("Parameter Policy is not valid. Reason: {}.", read.error().message));
    }
    return std::string(*policy);
  }
  for (auto [name, given] : {std::pair("Action", in.action().has_value()),
                             std::pair("Principal", in.principal().has_value()),
                             std::pair("StatementId", in.statement_id().has_value())}) {
    if (!given) return invalid(fmt::format("Parameter {} must be specified.", name));
  }
  if (in.action() != "events:PutEvents") {
    return invalid("Provided value in parameter 'action' is not supported.");
  }
  std::string organization;
  if (auto condition = in.condition()) {
    if (condition->type() != "StringEquals" || condition->key() != "aws:PrincipalOrgID") {
      return invalid("Condition must be StringEquals of aws:PrincipalOrgID.");
    }
    organization = condition->value().value_or("");
  }
  return with_grant(bus.about.policy().value_or(""), bus.ref.arn(),
                    {.sid = *in.statement_id(),
                     .principal = *in.principal(),
                     .action = *in.action(),
                     .organization = organization});
}

Answer put_permission(Context context, api::Call& call, wire::Record input) {
  model::PutPermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, find_bus(context, call, in.event_bus_name()));
  CO_TRY(co_await context.config.buses.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    auto from = now ? now : context.config.find_bus(ref);
    if (!from) return no_bus(ref.name);
    TRY_ASSIGN(auto policy, next_policy(in, *from));
    auto next = changed(*from, context);
    next->about.set_policy(std::move(policy));
    return next;
  }));
  co_return wire::Record();
}

Answer remove_permission(Context context, api::Call& call, wire::Record input) {
  model::RemovePermissionRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, find_bus(context, call, in.event_bus_name()));
  bool all = in.remove_all_permissions().value_or(false);
  if (!all && !in.statement_id()) {
    co_return invalid("Parameter StatementId must be specified.");
  }
  CO_TRY(co_await context.config.buses.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    auto policy = now ? now->about.policy().value_or("") : std::string_view();
    if (policy.empty()) {
      if (all) return now;
      return not_found("EventBus does not have a policy.");
    }
    std::string left;
    if (!all) {
      TRY_ASSIGN(left, without_grant(policy, *in.statement_id()));
    }
    auto next = changed(*now, context);
    wire::Record record = next->about.record();
    record.at(static_cast<std::size_t>(record.index("Policy"))) = {};
    next->about = model::DescribeEventBusResponse(std::move(record));
    if (!left.empty()) next->about.set_policy(std::move(left));
    return next;
  }));
  co_return wire::Record();
}

}  // namespace

std::span<const Operation> bus_operations() {
  static constexpr std::array<Operation, 7> rows{{{"CreateEventBus", create_event_bus},
                                                  {"DeleteEventBus", delete_event_bus},
                                                  {"DescribeEventBus", describe_event_bus},
                                                  {"ListEventBuses", list_event_buses},
                                                  {"PutPermission", put_permission},
                                                  {"RemovePermission", remove_permission},
                                                  {"UpdateEventBus", update_event_bus}}};
  return rows;
}

}  // namespace mayfly::services::bus
