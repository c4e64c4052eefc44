// Tags of buses and rules.
#include "base/limits.h"
#include "gate/flow.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

Refusal no_resource(std::string_view arn) {
  return not_found(fmt::format("Resource {} does not exist.", arn));
}

using Change = std::function<ApiResult<Tags>(const Tags& now)>;

constexpr std::string_view tags_of_rules[] = {gate::breaker_tag};

// The tags of whichever it is.
io::Task<ApiResult<Tags>> change_tags(Context context, std::string arn, Change change) {
  if (auto ref = parse_rule_arn(arn)) {
    using Row = Table<Rule>::Row;
    CO_TRY_ASSIGN(auto row, co_await context.config.rules.change(
                                ref->key(), [&](const Row& now) -> ApiResult<Row> {
                                  if (!now) return no_resource(arn);
                                  TRY_ASSIGN(auto tags, change(now->tags));
                                  if (tags == now->tags) return now;
                                  TRY(check_rule_tags(context, tags));
                                  auto next = std::make_shared<Rule>(*now);
                                  next->tags = std::move(tags);
                                  return next;
                                }));
    co_return row->tags;
  }
  auto ref = parse_bus_arn(arn);
  if (!ref || !context.config.find_bus(*ref)) co_return no_resource(arn);
  using Row = Table<Bus>::Row;
  CO_TRY_ASSIGN(auto row, co_await context.config.buses.change(
                              ref->key(), [&](const Row& now) -> ApiResult<Row> {
                                auto from = now ? now : context.config.find_bus(*ref);
                                if (!from) return no_resource(arn);
                                TRY_ASSIGN(auto tags, change(from->tags));
                                if (tags == from->tags) return now;
                                TRY(check_bus_tags(tags));
                                auto next = std::make_shared<Bus>(*from);
                                next->tags = std::move(tags);
                                return next;
                              }));
  co_return row ? row->tags : Tags();
}

Answer list_tags_for_resource(Context context, api::Call&, wire::Record input) {
  model::ListTagsForResourceRequest in(std::move(input));
  CO_TRY_ASSIGN(auto tags,
                co_await change_tags(context, std::string(in.resource_arn().value_or("")),
                                     [](const Tags& now) -> ApiResult<Tags> { return now; }));
  std::vector<model::Tag> out;
  for (const auto& [key, value] : tags) {
    model::Tag tag;
    tag.set_key(key).set_value(value);
    out.push_back(std::move(tag));
  }
  co_return model::ListTagsForResourceResponse().set_tags(std::move(out)).record();
}

Answer tag_resource(Context context, api::Call&, wire::Record input) {
  model::TagResourceRequest in(std::move(input));
  CO_TRY(co_await change_tags(
      context, std::string(in.resource_arn().value_or("")),
      [&](const Tags& now) -> ApiResult<Tags> { return read_tags(in.tags(), now); }));
  co_return wire::Record();
}

Answer untag_resource(Context context, api::Call&, wire::Record input) {
  model::UntagResourceRequest in(std::move(input));
  CO_TRY(co_await change_tags(context, std::string(in.resource_arn().value_or("")),
                              [&](const Tags& now) -> ApiResult<Tags> {
                                Tags out = now;
                                for (auto key : in.tag_keys()) out.erase(std::string(key));
                                return out;
                              }));
  co_return wire::Record();
}

}  // namespace

ApiResult<void> check_rule_tags(const Context& context, const Tags& tags) {
  auto known = gate::check_known(tags, tags_of_rules, "a rule");
  if (!known) return invalid(known.error().message + ".");
  auto breaker = gate::breaker_of(tags);
  if (!breaker) return invalid(breaker.error().message + ".");
  if (*breaker == nullptr || (*breaker)->fallback.empty() ||
      context.switchboard.target((*breaker)->fallback) != nullptr) {
    return {};
  }
  return invalid(fmt::format("The fallback {} is nothing that this server could push to.",
                             (*breaker)->fallback));
}

ApiResult<void> check_bus_tags(const Tags& tags) {
  auto known = gate::check_known(tags, {}, "an event bus");
  if (!known) return invalid(known.error().message + ".");
  return {};
}

std::span<const Operation> tag_operations() {
  static constexpr std::array<Operation, 3> rows{{{"ListTagsForResource", list_tags_for_resource},
                                                  {"TagResource", tag_resource},
                                                  {"UntagResource", untag_resource}}};
  return rows;
}

}  // namespace mayfly::services::bus
