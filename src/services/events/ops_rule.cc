// Rules: made, found, listed, switched on and off, deleted.
#include "base/limits.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<Rule>::Row;

Refusal no_rule(const RuleRef& ref) {
  return not_found(fmt::format("Rule {} does not exist on EventBus {}.", ref.name, ref.bus.name));
}

ApiResult<void> check_rule(const model::PutRuleRequest& in, const RuleRef& ref) {
  auto pattern = in.event_pattern().value_or("");
  auto schedule = in.schedule_expression().value_or("");
  if (pattern.empty() && schedule.empty()) {
    return invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.");
  }
  if (!pattern.empty()) {
    if (auto read = wire::EventPattern::parse(pattern); !read) return bad_pattern(read.error());
  }
  if (schedule.empty()) return {};
  if (!ref.bus.is_default()) {
    return invalid("ScheduleExpression is supported only on the default event bus.");
  }
  auto read = wire::ScheduleExpression::parse(schedule, wire::ScheduleExpression::Dialect::rule);
  if (!read || read->kind() == wire::ScheduleExpression::Kind::at) {
    return invalid("Parameter ScheduleExpression is not valid.");
  }
  return {};
}

std::shared_ptr<Rule> rule_of(const model::PutRuleRequest& in, const RuleRef& ref,
                              const api::Call& call) {
  auto out = std::make_shared<Rule>();
  out->ref = ref;
  auto& about = out->about;
  about.set_name(ref.name).set_arn(ref.arn()).set_event_bus_name(ref.bus.name);
  about.set_state(std::string(in.state().value_or("ENABLED")));
  about.set_created_by(call.caller.account.str());
  if (auto text = in.description()) about.set_description(std::string(*text));
  if (auto text = in.role_arn()) about.set_role_arn(std::string(*text));
  if (auto text = in.event_pattern(); text && !text->empty()) {
    about.set_event_pattern(std::string(*text));
  }
  if (auto text = in.schedule_expression(); text && !text->empty()) {
    about.set_schedule_expression(std::string(*text));
  }
  return out;
}

// Whatever the call leaves out is not kept, but for targets and tags.
Answer put_rule(Context context, api::Call& call, wire::Record input) {
  model::PutRuleRequest in(std::move(input));
  CO_TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  RuleRef ref{bus, std::string(in.name().value_or(""))};
  CO_TRY(check_rule(in, ref));
  CO_TRY_ASSIGN(auto tags, read_tags(in.tags()));
  CO_TRY(check_rule_tags(context, tags));
  CO_TRY(co_await context.config.rules.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    if (!now && context.config.rules_on(bus) >= limits::events_rules) {
      return over_limit("rules on an event bus", limits::events_rules);
    }
    auto next = rule_of(in, ref, call);
    next->tags = now ? now->tags : tags;
    if (now) next->targets = now->targets;
    bool same_times = now && now->enabled() && next->enabled() &&
                      now->about.schedule_expression() == next->about.schedule_expression();
    next->since_ms = same_times ? now->since_ms : context.now_ms();
    return next;
  }));
  co_return model::PutRuleResponse().set_rule_arn(ref.arn()).record();
}

template <class Request>
ApiResult<RuleRef> ref_of(const Context& context, const api::Call& call, const Request& in) {
  TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  return RuleRef{bus, std::string(in.name().value_or(""))};
}

Answer describe_rule(Context context, api::Call& call, wire::Record input) {
  model::DescribeRuleRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, ref_of(context, call, in));
  auto rule = context.config.rules.find(ref.key());
  if (!rule) co_return no_rule(ref);
  co_return copy_of(rule->about).take();
}

Answer list_rules(Context context, api::Call& call, wire::Record input) {
  model::ListRulesRequest in(std::move(input));
  CO_TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  auto prefix = fmt::format("{}/{}", bus.key(), in.name_prefix().value_or(""));
  CO_TRY_ASSIGN(auto page, page_of(context.config.rules, prefix, in.next_token(), in.limit()));
  std::vector<model::Rule> rules;
  for (const auto& row : page.rows) rules.push_back(summary_of<model::Rule>(row->about));
  model::ListRulesResponse out;
  out.set_rules(std::move(rules));
  if (page.next) out.set_next_token(*std::move(page.next));
  co_return std::move(out).take();
}

Answer set_state(Context context, RuleRef ref, std::string state) {
  CO_TRY(co_await context.config.rules.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    if (!now) return no_rule(ref);
    if (now->about.state() == state) return now;
    auto next = std::make_shared<Rule>(*now);
    next->about = copy_of(now->about);
    next->about.set_state(state);
    next->since_ms = context.now_ms();
    return next;
  }));
  co_return wire::Record();
}

Answer enable_rule(Context context, api::Call& call, wire::Record input) {
  model::EnableRuleRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, ref_of(context, call, in));
  co_return co_await set_state(context, std::move(ref), "ENABLED");
}

Answer disable_rule(Context context, api::Call& call, wire::Record input) {
  model::DisableRuleRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, ref_of(context, call, in));
  co_return co_await set_state(context, std::move(ref), "DISABLED");
}

Answer delete_rule(Context context, api::Call& call, wire::Record input) {
  model::DeleteRuleRequest in(std::move(input));
  CO_TRY_ASSIGN(auto ref, ref_of(context, call, in));
  CO_TRY(co_await context.config.rules.change(ref.key(), [&](const Row& now) -> ApiResult<Row> {
    if (now && !now->targets.empty()) {
      return invalid("Rule can't be deleted since it has targets.");
    }
    return nullptr;
  }));
  co_return wire::Record();
}

Answer list_rule_names_by_target(Context context, api::Call& call, wire::Record input) {
  model::ListRuleNamesByTargetRequest in(std::move(input));
  CO_TRY_ASSIGN(auto bus, find_bus(context, call, in.event_bus_name()));
  std::function<bool(const Rule&)> wanted = [&](const Rule& rule) {
    return std::ranges::any_of(rule.targets,
                               [&](const auto& target) { return target.arn() == in.target_arn(); });
  };
  CO_TRY_ASSIGN(auto page, page_of(context.config.rules, bus.key() + "/", in.next_token(),
                                   in.limit(), wanted));
  std::vector<std::string> names;
  for (const auto& row : page.rows) names.push_back(row->ref.name);
  model::ListRuleNamesByTargetResponse out;
  out.set_rule_names(std::move(names));
  if (page.next) out.set_next_token(*std::move(page.next));
  co_return std::move(out).take();
}

}  // namespace

std::span<const Operation> rule_operations() {
  static constexpr std::array<Operation, 7> rows{
      {{"DeleteRule", delete_rule},
       {"DescribeRule", describe_rule},
       {"DisableRule", disable_rule},
       {"EnableRule", enable_rule},
       {"ListRuleNamesByTarget", list_rule_names_by_target},
       {"ListRules", list_rules},
       {"PutRule", put_rule}}};
  return rows;
}

}  // namespace mayfly::services::bus
