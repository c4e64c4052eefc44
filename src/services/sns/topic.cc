#include "services/sns/topic.h"

#include "guard/policy_document.h"

namespace mayfly::services::sns {

namespace {

using wire::Json;

void put_texts(Json& into, std::string_view name, const auto& texts) {
  for (const auto& [key, value] : texts) into[name][key] = value;
}

void take_texts(const Json& from, std::string_view name, auto& into) {
  const auto* object = from.find(name);
  if (object == nullptr || !object->is_object()) return;
  for (const auto& [key, value] : *object->as<wire::JsonObject>()) {
    into.emplace(key, value.string_value());
  }
}

std::string tail_of(const TopicRef& ref) {
  return fmt::format("{}/{}/{}", ref.scope.account.str(), ref.scope.region.str(), ref.name);
}

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorKind::corrupt, fmt::format("{} has settings that are none", what));
}

}  // namespace

std::string topic_key(const TopicRef& ref) { return "topic/" + tail_of(ref); }
std::string subscriptions_key(const TopicRef& ref) { return "sub/" + tail_of(ref) + "/"; }

std::string encode(const TopicInfo& info) {
  Json out{wire::JsonObject()};
  out["id"] = info.id;
  out["created_ms"] = info.created_ms;
  out["removed"] = info.removed;
  put_texts(out, "attributes", info.attributes);
  put_texts(out, "tags", info.tags);
  return out.dump();
}

Result<TopicInfo> decode_topic(std::string_view text, TopicRef ref) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  TopicInfo out;
  out.ref = std::move(ref);
  out.id = json.string_or("id");
  out.created_ms = json.int_or("created_ms", 0);
  out.removed = json.int_or("removed", 0);
  take_texts(json, "attributes", out.attributes);
  take_texts(json, "tags", out.tags);
  auto settings = read_topic_settings(out.attributes, out.ref.fifo());
  auto policy = guard::read_policy(value_of(out.attributes, "Policy"));
  if (!settings || !policy) return corrupt(out.ref.arn());
  out.settings = *std::move(settings);
  out.policy = *std::move(policy);
  return out;
}

std::string encode(const Subscription& subscription) {
  Json out{wire::JsonObject()};
  out["number"] = static_cast<std::int64_t>(subscription.number);
  out["protocol"] = subscription.protocol;
  out["endpoint"] = subscription.endpoint;
  out["owner"] = subscription.owner;
  out["state"] = static_cast<int>(subscription.state);
  out["token"] = subscription.token;
  out["authenticated"] = subscription.authenticated;
  out["guarded"] = subscription.guarded;
  out["since_ms"] = subscription.since_ms;
  out["host"] = subscription.host;
  put_texts(out, "attributes", subscription.attributes);
  return out.dump();
}

Result<Subscription> decode_subscription(std::string_view text, SubscriptionRef ref) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  Subscription out;
  out.ref = std::move(ref);
  out.number = static_cast<std::uint64_t>(json.int_or("number", 0));
  out.protocol = json.string_or("protocol");
  out.endpoint = json.string_or("endpoint");
  out.owner = json.string_or("owner");
  out.state = static_cast<Subscription::State>(json.int_or("state", 0));
  out.token = json.string_or("token");
  out.authenticated = json.bool_or("authenticated", false);
  out.guarded = json.bool_or("guarded", false);
  out.since_ms = json.int_or("since_ms", 0);
  out.host = json.string_or("host");
  take_texts(json, "attributes", out.attributes);
  auto settings = read_subscription_settings(out.attributes, out.ref.topic, out.protocol);
  if (!settings) return corrupt(out.ref.arn());
  out.settings = *std::move(settings);
  return out;
}

std::string default_policy(const TopicRef& ref) {
  Json statement;
  statement["Sid"] = "__default_statement_ID";
  statement["Effect"] = "Allow";
  statement["Principal"]["AWS"] = "*";
  for (const auto* action : {"SNS:GetTopicAttributes", "SNS:SetTopicAttributes",
                             "SNS:AddPermission", "SNS:RemovePermission", "SNS:DeleteTopic",
                             "SNS:Subscribe", "SNS:ListSubscriptionsByTopic", "SNS:Publish"}) {
    statement["Action"].push_back(action);
  }
  statement["Resource"] = ref.arn();
  statement["Condition"]["StringEquals"]["AWS:SourceOwner"] = ref.scope.account.str();
  Json out;
  out["Version"] = "2008-10-17";
  out["Id"] = "__default_policy_ID";
  out["Statement"].push_back(std::move(statement));
  return out.dump();
}

std::string Subscription::shown_endpoint() const {
  auto scheme = endpoint.find("://");
  if (scheme == endpoint.npos) return endpoint;
  auto begin = scheme + 3;
  auto at = endpoint.substr(0, endpoint.find_first_of("/?#", begin)).rfind('@');
  auto colon = endpoint.find(':', begin);
  if (at == endpoint.npos || colon > at) return endpoint;
  return endpoint.substr(0, colon + 1) + "****" + endpoint.substr(at);
}

std::size_t Topic::count(Subscription::State state) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      subscriptions_, [state](const auto& one) { return one.second->state == state; }));
}

}  // namespace mayfly::services::sns
