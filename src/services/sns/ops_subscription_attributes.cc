// Attributes of subscriptions.
#include "services/sns/service.h"

namespace mayfly::services::sns {

namespace {

using Found = ApiResult<std::shared_ptr<const Subscription>>;

// For its owner, and for the topic's.
Found find_subscription(const Deps& deps, const api::Call& call, std::string_view arn) {
  auto ref = parse_subscription(arn);
  if (!ref) return invalid("SubscriptionArn", "An ARN must have at least 6 elements, not 1");
  auto found = deps.topics.subscription(*ref);
  if (!found || !found->visible()) return no_subscription();
  const auto& account = call.caller.account.str();
  if (account != found->owner && account != ref->topic.scope.account.str()) {
    return not_allowed("the subscription is another account's");
  }
  return found;
}

std::string flag(bool value) { return value ? "true" : "false"; }

}  // namespace

Answer get_subscription_attributes(Deps deps, api::Call& call, wire::Record input) {
  model::GetSubscriptionAttributesInput in(std::move(input));
  CO_TRY_ASSIGN(auto one, find_subscription(deps, call, *in.subscription_arn()));
  std::map<std::string, std::string> out(one->attributes.begin(), one->attributes.end());
  out["SubscriptionArn"] = one->ref.arn();
  out["TopicArn"] = one->ref.topic.arn();
  out["Owner"] = one->owner;
  out["Protocol"] = one->protocol;
  out["Endpoint"] = one->shown_endpoint();
  out["PendingConfirmation"] = flag(one->state == Subscription::State::pending);
  out["ConfirmationWasAuthenticated"] = flag(one->authenticated);
  out["RawMessageDelivery"] = flag(one->settings.raw);
  out["SubscriptionPrincipal"] = fmt::format("arn:aws:iam::{}:root", one->owner);
  if (one->settings.filter) out.try_emplace("FilterPolicyScope", "MessageAttributes");
  auto topic = deps.topics.find(one->ref.topic);
  if (topic && one->http()) {
    out["EffectiveDeliveryPolicy"] = subscription_policy_text(Courier::policy_of(*topic, *one));
  }
  co_return model::GetSubscriptionAttributesResponse().set_attributes(out).record();
}

Answer set_subscription_attributes(Deps deps, api::Call& call, wire::Record input) {
  model::SetSubscriptionAttributesInput in(std::move(input));
  CO_TRY_ASSIGN(auto one, find_subscription(deps, call, *in.subscription_arn()));
  std::string name(*in.attribute_name());
  std::string value(in.attribute_value().value_or(""));
  CO_TRY(check_subscription_attribute(name, value));
  Attributes given{{name, value}};
  auto topic = deps.topics.find(one->ref.topic);
  if (topic && !one->settings.filter) CO_TRY(check_filters(*topic, given));
  CO_TRY(read_subscription_settings(merged(one->attributes, given), one->ref.topic, one->protocol));
  auto done = co_await deps.topics.update(one->ref, [&given](Subscription& next) {
    auto attributes = merged(next.attributes, given);
    // What others have changed meanwhile was checked by itself.
    auto settings = read_subscription_settings(attributes, next.ref.topic, next.protocol);
    if (!settings) return;
    next.attributes = std::move(attributes);
    next.settings = *std::move(settings);
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return wire::Record();
}

}  // namespace mayfly::services::sns
