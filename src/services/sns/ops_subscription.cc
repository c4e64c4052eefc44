// Subscriptions: made, confirmed, listed, ended.
#include "base/limits.h"
#include "io/url.h"
#include "services/sns/service.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::array<std::string_view, 5> unbuilt{"email", "email-json", "sms", "application",
                                                  "firehose"};

bool is_arn_of(std::string_view text, std::string_view service) {
  auto parts = wire::split(text, ':');
  return parts.size() >= 6 && parts[0] == "arn" && parts[2] == service && !parts[3].empty() &&
         parts[4].size() == 12 && !parts[5].empty();
}

ApiResult<void> check_endpoint(const Topic& topic, std::string_view protocol,
                               std::string_view endpoint) {
  if (std::ranges::find(unbuilt, protocol) != unbuilt.end()) {
    return not_built(fmt::format("Delivery by {} is", protocol));
  }
  if (endpoint.size() > limits::sns_endpoint_bytes) return invalid("Endpoint", "it is too long");
  if (protocol == "http" || protocol == "https") {
    auto url = io::parse_url(endpoint);
    if (!url || url->secure != (protocol == "https")) {
      return invalid("Endpoint must match the specified protocol");
    }
  } else if (protocol == "sqs") {
    if (!is_arn_of(endpoint, "sqs")) return invalid("SQS endpoint ARN");
  } else if (protocol == "lambda") {
    if (!is_arn_of(endpoint, "lambda")) return invalid("Lambda endpoint ARN");
  } else {
    return invalid(fmt::format("Amazon SNS does not support this protocol string: {}", protocol));
  }
  if (topic.fifo() && protocol != "sqs") {
    return invalid("Protocol", "FIFO topics deliver to queues alone");
  }
  if (!topic.fifo() && protocol == "sqs" && endpoint.ends_with(".fifo")) {
    return invalid("Endpoint", "FIFO SQS Queues can not be subscribed to standard SNS topics");
  }
  return {};
}

ApiResult<void> check_count(const Deps& deps, const Topic& topic) {
  std::size_t most = topic.fifo() ? limits::sns_fifo_subscriptions : deps.subscriptions_max;
  if (topic.subscriptions().size() < most) return {};
  return Refusal(model::subscription_limit_exceeded_exception(
      fmt::format("{} subscriptions are the most of a topic.", most)));
}

std::shared_ptr<const Subscription> find_same(const Topic& topic, std::string_view protocol,
                                              std::string_view endpoint) {
  for (const auto& [id, one] : topic.subscriptions()) {
    if (one->visible() && one->protocol == protocol && one->endpoint == endpoint) return one;
  }
  return nullptr;
}

// Whoever subscribes its own queue or function has confirmed it by that.
Subscription::State first_state(const Subscription& one) {
  if (one.http()) return Subscription::State::pending;
  bool own = wire::split(one.endpoint, ':')[4] == one.owner;
  return own || one.protocol == "lambda" ? Subscription::State::confirmed
                                         : Subscription::State::pending;
}

std::string shown_arn(const Subscription& one, std::string_view pending) {
  return one.state == Subscription::State::confirmed ? one.ref.arn() : std::string(pending);
}

model::Subscription shown(const Subscription& one) {
  model::Subscription out;
  out.set_subscription_arn(shown_arn(one, "PendingConfirmation"))
      .set_owner(one.owner)
      .set_protocol(one.protocol)
      .set_endpoint(one.shown_endpoint())
      .set_topic_arn(one.ref.topic.arn());
  return out;
}

}  // namespace

ApiResult<void> check_filters(const Topic& topic, const Attributes& given) {
  auto filter = value_of(given, "FilterPolicy");
  if (filter.empty() || filter == "{}") return {};
  auto count = std::ranges::count_if(topic.subscriptions(), [](const auto& one) {
    return one.second->settings.filter.has_value();
  });
  if (static_cast<std::size_t>(count) < limits::sns_filters) return {};
  return Refusal(model::filter_policy_limit_exceeded_exception(
      fmt::format("{} filter policies are the most of a topic.", limits::sns_filters)));
}

Answer subscribe(Deps deps, api::Call& call, wire::Record input) {
  model::SubscribeInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  Subscription one;
  one.protocol = *in.protocol();
  one.endpoint = in.endpoint().value_or("");
  CO_TRY(check_endpoint(*topic, one.protocol, one.endpoint));
  // A jail reaches nothing but this server, and would by this.
  if (one.http() && call.from_function()) {
    co_return not_allowed("functions subscribe queues and functions alone");
  }
  Attributes given;
  for (auto [name, value] : in.attributes()) {
    CO_TRY(check_subscription_attribute(name, value));
    given.insert_or_assign(std::string(name), std::string(value));
  }
  one.attributes = merged({}, given);
  CO_TRY_ASSIGN(one.settings,
                read_subscription_settings(one.attributes, topic->ref(), one.protocol));
  std::string_view pending = "pending confirmation";
  bool want_arn = in.return_subscription_arn().value_or(false);
  auto same = find_same(*topic, one.protocol, one.endpoint);
  if (same && !given.empty() && same->attributes != one.attributes) {
    co_return invalid("Attributes", "Subscription already exists with different attributes");
  }
  if (!same) {
    CO_TRY(check_count(deps, *topic));
    CO_TRY(check_filters(*topic, given));
    one.owner = call.caller.account.str();
    one.state = first_state(one);
    one.authenticated = one.state == Subscription::State::confirmed;
    one.token = deps.random.hex(64);
    one.host = call.from_function() ? deps.host() : call.host;
    auto made = co_await deps.topics.add(topic, std::move(one));
    if (!made) co_return Refusal(api_error(made.error()));
    same = *std::move(made);
  }
  if (same->state == Subscription::State::pending) {
    // Asked again, it is told again.
    auto told = co_await deps.publisher.tell(same, Message::Type::confirmation);
    if (!told) co_return Refusal(api_error(told.error()));
  }
  co_return model::SubscribeResponse()
      .set_subscription_arn(want_arn ? same->ref.arn() : shown_arn(*same, pending))
      .record();
}

io::Task<ApiResult<std::string>> confirm(Deps deps, Confirmation what) {
  CO_TRY_ASSIGN(auto topic, find_topic(deps, what.topic_arn));
  std::shared_ptr<const Subscription> found;
  for (const auto& [id, one] : topic->subscriptions()) {
    if (!what.token.empty() && one->token == what.token) found = one;
  }
  if (!found) co_return invalid("Token");
  if (found->state != Subscription::State::confirmed) {
    auto done = co_await deps.topics.update(found->ref, [&what](Subscription& one) {
      one.state = Subscription::State::confirmed;
      one.authenticated = what.authenticated;
      one.guarded = what.guarded;
    });
    if (!done) co_return Refusal(api_error(done.error()));
  }
  co_return found->ref.arn();
}

Answer confirm_subscription(Deps deps, api::Call&, wire::Record input) {
  model::ConfirmSubscriptionInput in(std::move(input));
  auto guarded = in.authenticate_on_unsubscribe().value_or("false");
  CO_TRY_ASSIGN(auto arn, co_await confirm(deps, {.topic_arn = std::string(*in.topic_arn()),
                                                  .token = std::string(*in.token()),
                                                  .authenticated = true,
                                                  .guarded = wire::iequals(guarded, "true")}));
  co_return model::ConfirmSubscriptionResponse().set_subscription_arn(arn).record();
}

io::Task<ApiResult<void>> end_subscription(Deps deps, std::shared_ptr<const Subscription> which) {
  bool told = which->http() && which->state == Subscription::State::confirmed;
  Result<> done;
  if (told) {
    done = co_await deps.topics.update(which->ref, [&deps](Subscription& one) {
      one.state = Subscription::State::ended;
      one.token = deps.random.hex(64);
    });
    if (done) {
      done = co_await deps.publisher.tell(deps.topics.subscription(which->ref), Message::Type::end);
    }
  } else {
    done = co_await deps.topics.remove(which->ref);
  }
  // Somebody else has ended it meanwhile.
  if (!done && done.error().kind != ErrorKind::not_found) {
    co_return Refusal(api_error(done.error()));
  }
  co_return ApiResult<void>{};
}

Answer unsubscribe(Deps deps, api::Call& call, wire::Record input) {
  model::UnsubscribeInput in(std::move(input));
  auto ref = parse_subscription(*in.subscription_arn());
  if (!ref) co_return invalid("SubscriptionArn", "An ARN must have at least 6 elements, not 1");
  auto found = deps.topics.subscription(*ref);
  // One that is not there has ended already.
  if (!found || !found->visible()) co_return wire::Record();
  const auto& account = call.caller.account.str();
  if (account != found->owner && account != ref->topic.scope.account.str()) {
    co_return not_allowed("the subscription is another account's");
  }
  CO_TRY(co_await end_subscription(deps, std::move(found)));
  co_return wire::Record();
}

Answer list_subscriptions(Deps deps, api::Call& call, wire::Record input) {
  model::ListSubscriptionsInput in(std::move(input));
  CO_TRY_ASSIGN(auto after, read_token(in.next_token()));
  Scope scope{call.caller.account, call.scope.region};
  auto found = deps.topics.subscriptions_of(scope, after, limits::sns_page + 1);
  bool more = found.size() > limits::sns_page;
  if (more) found.pop_back();
  std::vector<model::Subscription> subscriptions;
  for (const auto& one : found) subscriptions.push_back(shown(*one));
  model::ListSubscriptionsResponse out;
  out.set_subscriptions(std::move(subscriptions));
  if (more) out.set_next_token(next_token(found.back()->ref.arn()));
  co_return std::move(out).take();
}

Answer list_subscriptions_by_topic(Deps deps, api::Call&, wire::Record input) {
  model::ListSubscriptionsByTopicInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  CO_TRY_ASSIGN(auto after, read_token(in.next_token()));
  std::vector<model::Subscription> subscriptions;
  std::string last;
  bool more = false;
  for (auto at = topic->subscriptions().upper_bound(after); at != topic->subscriptions().end();
       ++at) {
    if (!at->second->visible()) continue;
    more = subscriptions.size() == limits::sns_page;
    if (more) break;
    subscriptions.push_back(shown(*at->second));
    last = at->first;
  }
  model::ListSubscriptionsByTopicResponse out;
  out.set_subscriptions(std::move(subscriptions));
  if (more) out.set_next_token(next_token(last));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::sns
