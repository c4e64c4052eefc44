#include "services/sns/service.h"

#include "api/input.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

using Handle = Answer (*)(Deps, api::Call&, wire::Record);

struct Row {
  std::string_view name;
  Handle handler;
};
constexpr std::array<Row, 19> rows{{
    {"AddPermission", add_permission},
    {"ConfirmSubscription", confirm_subscription},
    {"CreateTopic", create_topic},
    {"DeleteTopic", delete_topic},
    {"GetSubscriptionAttributes", get_subscription_attributes},
    {"GetTopicAttributes", get_topic_attributes},
    {"ListSubscriptions", list_subscriptions},
    {"ListSubscriptionsByTopic", list_subscriptions_by_topic},
    {"ListTagsForResource", list_tags_for_resource},
    {"ListTopics", list_topics},
    {"Publish", publish},
    {"PublishBatch", publish_batch},
    {"RemovePermission", remove_permission},
    {"SetSubscriptionAttributes", set_subscription_attributes},
    {"SetTopicAttributes", set_topic_attributes},
    {"Subscribe", subscribe},
    {"TagResource", tag_resource},
    {"Unsubscribe", unsubscribe},
    {"UntagResource", untag_resource},
}};

using api::text_of;

// The members that name a topic, in whichever way.
std::string resource_of(const api::Operation& operation, const wire::Record& input,
                        const Scope& scope) {
  for (const auto* member : {"TopicArn", "TargetArn", "ResourceArn"}) {
    if (auto arn = text_of(input, member); parse_topic(arn)) return arn;
  }
  if (operation.name == "CreateTopic") return TopicRef{scope, text_of(input, "Name")}.arn();
  return "*";
}

}  // namespace

api::Service make_sns_service(const Deps& deps) {
  api::Service service;
  service.model = &model::model;
  service.resource = resource_of;
  service.checks_input = true;
  for (const auto& row : rows) {
    service.handlers[row.name] = api::requiring_members(
        [deps, handler = row.handler](api::Call& call, wire::Record input) {
          return handler(deps, call, std::move(input));
        },
        not_given);
  }
  return service;
}

std::vector<guard::PolicyStatement> TopicPolicies::statements(std::string_view resource_arn) {
  auto topic = topics_.find(resource_arn);
  return topic ? topic->info().policy : std::vector<guard::PolicyStatement>();
}

ApiResult<std::shared_ptr<Topic>> find_topic(const Deps& deps,
                                             std::optional<std::string_view> arn) {
  auto ref = parse_topic(arn.value_or(""));
  if (!ref) return invalid("TopicArn", "An ARN must have at least 6 elements, not 1");
  auto topic = deps.topics.find(*ref);
  if (!topic) return no_topic();
  return topic;
}

std::string next_token(std::string_view last) { return wire::base64url_encode(last); }

ApiResult<std::string> read_token(std::optional<std::string_view> token) {
  if (!token || token->empty()) return std::string();
  auto text = wire::base64url_decode(*token);
  if (!text) return invalid("NextToken");
  return *std::move(text);
}

}  // namespace mayfly::services::sns
