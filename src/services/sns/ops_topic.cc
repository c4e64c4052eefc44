// Topics: made, found, listed, deleted; their attributes.
#include "base/limits.h"
#include "guard/policy_document.h"
#include "services/sns/service.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

Attributes read_map(const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  Attributes out;
  for (auto [name, value] : pairs) out.insert_or_assign(std::string(name), std::string(value));
  return out;
}

ApiResult<void> check_name(const TopicRef& ref, const Attributes& given) {
  bool fifo = wire::iequals(value_of(given, "FifoTopic", "false"), "true");
  if (!is_topic_name(ref.name)) return invalid("Topic Name");
  if (fifo == ref.fifo()) return {};
  return invalid(fifo
                     ? "Fifo Topic names must end with .fifo and must be made up of only uppercase "
                       "and lowercase ASCII letters, numbers, underscores, and hyphens, and must "
                       "be between 1 and 256 characters long."
                     : "Topic Name");
}

// What an attribute has until it is given a value.
std::string_view default_of(std::string_view name) {
  if (name == "FifoTopic" || name == "ContentBasedDeduplication") return "false";
  if (name == "SignatureVersion") return "1";
  if (name == "TracingConfig") return "PassThrough";
  if (name == "FifoThroughputScope") return "Topic";
  return {};
}

// A topic of that name is the one that was asked for where nothing that was given differs.
ApiResult<void> check_same(const TopicInfo& info, const Attributes& given,
                           const std::map<std::string, std::string>& tags) {
  for (const auto& [name, value] : given) {
    auto fallback = default_of(name);
    if (!wire::iequals(value_of(info.attributes, name, fallback),
                       value_of(given, name, fallback))) {
      return invalid("Attributes", "Topic already exists with different attributes");
    }
  }
  for (const auto& [key, value] : tags) {
    auto found = info.tags.find(key);
    if (found == info.tags.end() || found->second != value) {
      return invalid("Tags", "Topic already exists with different tags");
    }
  }
  return {};
}

ApiResult<TopicInfo> read_info(TopicRef ref, Attributes given) {
  TopicInfo out;
  for (const auto& [name, value] : given) TRY(check_topic_attribute(name, value, ref.fifo()));
  out.attributes = merged({}, given);
  TRY_ASSIGN(out.settings, read_topic_settings(out.attributes, ref.fifo()));
  // It was looked at by the check above.
  if (auto policy = guard::read_policy(value_of(out.attributes, "Policy"))) {
    out.policy = *std::move(policy);
  }
  out.ref = std::move(ref);
  return out;
}

ApiResult<void> check_count(const Deps& deps, const TopicRef& ref) {
  std::size_t most = ref.fifo() ? limits::sns_fifo_topics : limits::sns_topics;
  if (deps.topics.count(ref.scope, ref.fifo()) < most) return {};
  return Refusal(model::topic_limit_exceeded_exception(
      fmt::format("{} topics are the most of an account in a region.", most)));
}

std::map<std::string, std::string> shown(const Topic& topic) {
  const auto& info = topic.info();
  std::map<std::string, std::string> out(info.attributes.begin(), info.attributes.end());
  auto number = [](auto value) { return fmt::format("{}", value); };
  out["TopicArn"] = topic.arn();
  out["Owner"] = info.ref.scope.account.str();
  out.try_emplace("DisplayName", "");
  out.try_emplace("Policy", default_policy(info.ref));
  out["EffectiveDeliveryPolicy"] = topic_policy_text(info.settings.delivery);
  out["SubscriptionsConfirmed"] = number(topic.count(Subscription::State::confirmed));
  out["SubscriptionsPending"] = number(topic.count(Subscription::State::pending));
  out["SubscriptionsDeleted"] = number(info.removed);
  if (!topic.fifo()) return out;
  out["FifoTopic"] = "true";
  for (const auto* name : {"ContentBasedDeduplication", "FifoThroughputScope"}) {
    out.try_emplace(name, default_of(name));
  }
  return out;
}

}  // namespace

Answer create_topic(Deps deps, api::Call& call, wire::Record input) {
  model::CreateTopicInput in(std::move(input));
  if (in.data_protection_policy()) co_return not_built("Data protection policies are");
  TopicRef ref{call.scope, std::string(*in.name())};
  Attributes given = read_map(in.attributes());
  CO_TRY(check_name(ref, given));
  CO_TRY_ASSIGN(auto info, read_info(ref, given));
  for (const auto& tag : in.tags()) {
    info.tags.insert_or_assign(std::string(tag.key().value_or("")),
                               std::string(tag.value().value_or("")));
  }
  if (info.tags.size() > limits::sns_tags) {
    co_return Refusal(model::tag_limit_exceeded_exception(
        fmt::format("A topic has {} tags at the most.", limits::sns_tags)));
  }
  auto tags = info.tags;
  CO_TRY(check_topic_tags(deps, tags));
  auto topic = deps.topics.find(ref);
  if (!topic) {
    CO_TRY(check_count(deps, ref));
    auto made = co_await deps.topics.create(std::move(info));
    if (!made && made.error().kind != ErrorKind::already_exists) {
      co_return Refusal(api_error(made.error()));
    }
    topic = made ? *made : deps.topics.find(ref);
    if (!topic) co_return Refusal(api::internal_failure("The topic was deleted meanwhile."));
  }
  CO_TRY(check_same(topic->info(), given, tags));
  co_return model::CreateTopicResponse().set_topic_arn(topic->arn()).record();
}

Answer delete_topic(Deps deps, api::Call&, wire::Record input) {
  model::DeleteTopicInput in(std::move(input));
  auto topic = find_topic(deps, in.topic_arn());
  // One that is not there is deleted already.
  if (!topic && topic.error().code == "NotFound") co_return wire::Record();
  if (!topic) co_return Refusal(std::move(topic.error()));
  auto done = co_await deps.topics.remove(*topic);
  if (!done && done.error().kind != ErrorKind::not_found) {
    co_return Refusal(api_error(done.error()));
  }
  co_return wire::Record();
}

Answer list_topics(Deps deps, api::Call& call, wire::Record input) {
  model::ListTopicsInput in(std::move(input));
  CO_TRY_ASSIGN(auto after, read_token(in.next_token()));
  auto found = deps.topics.list(call.scope, after, limits::sns_page + 1);
  bool more = found.size() > limits::sns_page;
  if (more) found.pop_back();
  std::vector<model::Topic> topics;
  for (const auto& one : found) topics.emplace_back().set_topic_arn(one->arn());
  model::ListTopicsResponse out;
  out.set_topics(std::move(topics));
  if (more) out.set_next_token(next_token(found.back()->ref().name));
  co_return std::move(out).take();
}

Answer get_topic_attributes(Deps deps, api::Call&, wire::Record input) {
  model::GetTopicAttributesInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  co_return model::GetTopicAttributesResponse().set_attributes(shown(*topic)).record();
}

namespace {

// Sets one attribute anew; an empty value takes it away.
io::Task<ApiResult<void>> set_attribute(Deps deps, std::shared_ptr<Topic> topic, std::string name,
                                        std::string value) {
  Attributes given{{std::move(name), std::move(value)}};
  CO_TRY(read_info(topic->ref(), merged(topic->info().attributes, given)));
  auto done = co_await deps.topics.update(topic, [&given](TopicInfo& info) {
    // What others have changed meanwhile was checked by itself.
    auto next = read_info(info.ref, merged(info.attributes, given));
    if (!next) return;
    info.attributes = std::move(next->attributes);
    info.settings = std::move(next->settings);
    info.policy = std::move(next->policy);
  });
  if (!done) co_return Refusal(api_error(done.error()));
  co_return ApiResult<void>{};
}

}  // namespace

Answer set_topic_attributes(Deps deps, api::Call&, wire::Record input) {
  model::SetTopicAttributesInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  std::string name(*in.attribute_name());
  std::string value(in.attribute_value().value_or(""));
  CO_TRY(check_topic_attribute(name, value, topic->fifo()));
  if (name == "FifoTopic") co_return invalid("AttributeName");
  // The guide: it cannot be turned back.
  if (name == "FifoThroughputScope" && value != "MessageGroup" &&
      topic->info().settings.group_scope) {
    co_return invalid(name, "it cannot be set back to Topic");
  }
  CO_TRY(co_await set_attribute(deps, topic, std::move(name), std::move(value)));
  co_return wire::Record();
}

Answer add_permission(Deps deps, api::Call&, wire::Record input) {
  model::AddPermissionInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  std::string arn = topic->arn();
  guard::Grant grant{.id = "__default_policy_ID",
                     .label = *in.label(),
                     .accounts = in.aws_account_id(),
                     .actions = {},
                     .resource = arn,
                     .statements_max = limits::sns_policy_statements};
  if (grant.label.empty()) co_return invalid("Label");
  if (grant.accounts.empty() || !std::ranges::all_of(grant.accounts, guard::is_account)) {
    co_return invalid("AWSAccountId");
  }
  constexpr std::array<std::string_view, 9> grantable{"Publish",
                                                      "Subscribe",
                                                      "GetTopicAttributes",
                                                      "SetTopicAttributes",
                                                      "AddPermission",
                                                      "DeleteTopic",
                                                      "RemovePermission",
                                                      "ListSubscriptionsByTopic",
                                                      "ListTagsForResource"};
  for (auto action : in.action_name()) {
    if (std::ranges::find(grantable, action) == grantable.end()) {
      co_return invalid("Policy statement action out of service scope!");
    }
    grant.actions.push_back(fmt::format("SNS:{}", action));
  }
  if (grant.actions.empty()) co_return invalid("ActionName");
  // The document's own default stands beside what is added.
  std::string before(value_of(topic->info().attributes, "Policy"));
  if (before.empty()) before = default_policy(topic->ref());
  auto policy = guard::with_permission(before, grant);
  if (!policy && policy.error().kind == ErrorKind::already_exists) {
    co_return invalid("Statement already exists");
  }
  if (!policy) co_return Refusal(api_error(policy.error()));
  CO_TRY(co_await set_attribute(deps, topic, "Policy", *std::move(policy)));
  co_return wire::Record();
}

Answer remove_permission(Deps deps, api::Call&, wire::Record input) {
  model::RemovePermissionInput in(std::move(input));
  CO_TRY_ASSIGN(auto topic, find_topic(deps, in.topic_arn()));
  auto policy =
      guard::without_permission(value_of(topic->info().attributes, "Policy"), *in.label());
  // A label that is not there is removed already.
  if (!policy && policy.error().kind == ErrorKind::not_found) co_return wire::Record();
  if (!policy) co_return Refusal(api_error(policy.error()));
  CO_TRY(co_await set_attribute(deps, topic, "Policy", *std::move(policy)));
  co_return wire::Record();
}

}  // namespace mayfly::services::sns
