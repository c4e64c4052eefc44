// The SNS service: the operations of api/sns.h on Topics, over the query protocol.
//
// Called by front/ through the operation table; guard/ asks TopicPolicies. Threads: loop only.
// Keeps no state of its own; the handlers hold Deps by value.
#pragma once

#include <functional>

#include "api/operation.h"
#include "base/limits.h"
#include "events/effects.h"
#include "events/switchboard.h"
#include "services/sns/publisher.h"
#include "services/sns/topics.h"

namespace mayfly::services::sns {

// Live as long as the server.
struct Deps {
  io::Loop& loop;
  Random& random;
  Topics& topics;
  Publisher& publisher;
  // By which host clients outside reach this server, for those that came from inside a jail.
  std::function<std::string()> host;
  const events::Switchboard& switchboard;
  const events::EffectsBoard* effects = nullptr;  // absent: every message is published at once
  std::size_t subscriptions_max = limits::sns_subscriptions;  // of a standard topic
};

api::Service make_sns_service(const Deps& deps);

// The policies of topics, for guard/.
class TopicPolicies final : public guard::ResourcePolicies {
 public:
  explicit TopicPolicies(const Topics& topics) : topics_(topics) {}
  std::vector<guard::PolicyStatement> statements(std::string_view resource_arn) override;

 private:
  const Topics& topics_;
};

// --- for the handlers (ops_*.cc) and web.cc ---
using Answer = io::Task<ApiResult<wire::Record>>;

// The topic that an ARN names; InvalidParameter, NotFound.
ApiResult<std::shared_ptr<Topic>> find_topic(const Deps& deps, std::optional<std::string_view> arn);

// The subscription of that token becomes one that gets messages.
struct Confirmation {
  std::string topic_arn;
  std::string token;
  bool authenticated = false;
  bool guarded = false;  // AuthenticateOnUnsubscribe
};
io::Task<ApiResult<std::string>> confirm(Deps deps, Confirmation what);  // answers its ARN
// An http endpoint is told of its end.
io::Task<ApiResult<void>> end_subscription(Deps deps, std::shared_ptr<const Subscription> which);

// A topic has room for a filter policy, where one is given.
ApiResult<void> check_filters(const Topic& topic, const Attributes& given);

// Tags "mayfly:…" are settings: a circuit breaker for its http endpoints (courier.h).
ApiResult<void> check_topic_tags(const Deps& deps, const std::map<std::string, std::string>& tags);

// Tokens of lists: the name of the last one that was answered.
std::string next_token(std::string_view last);
ApiResult<std::string> read_token(std::optional<std::string_view> token);

Answer create_topic(Deps deps, api::Call& call, wire::Record input);
Answer delete_topic(Deps deps, api::Call& call, wire::Record input);
Answer list_topics(Deps deps, api::Call& call, wire::Record input);
Answer get_topic_attributes(Deps deps, api::Call& call, wire::Record input);
Answer set_topic_attributes(Deps deps, api::Call& call, wire::Record input);
Answer add_permission(Deps deps, api::Call& call, wire::Record input);
Answer remove_permission(Deps deps, api::Call& call, wire::Record input);
Answer tag_resource(Deps deps, api::Call& call, wire::Record input);
Answer untag_resource(Deps deps, api::Call& call, wire::Record input);
Answer list_tags_for_resource(Deps deps, api::Call& call, wire::Record input);

Answer subscribe(Deps deps, api::Call& call, wire::Record input);
Answer confirm_subscription(Deps deps, api::Call& call, wire::Record input);
Answer unsubscribe(Deps deps, api::Call& call, wire::Record input);
Answer list_subscriptions(Deps deps, api::Call& call, wire::Record input);
Answer list_subscriptions_by_topic(Deps deps, api::Call& call, wire::Record input);
Answer get_subscription_attributes(Deps deps, api::Call& call, wire::Record input);
Answer set_subscription_attributes(Deps deps, api::Call& call, wire::Record input);

Answer publish(Deps deps, api::Call& call, wire::Record input);
Answer publish_batch(Deps deps, api::Call& call, wire::Record input);

}  // namespace mayfly::services::sns
