#include "services/sns/settings.h"

#include "base/limits.h"
#include "guard/policy_document.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::array<std::string_view, 10> topic_names{
    "Policy",        "DisplayName",        "DeliveryPolicy", "KmsMasterKeyId",
    "TracingConfig", "SignatureVersion",   "FifoTopic",      "ContentBasedDeduplication",
    "ArchivePolicy", "FifoThroughputScope"};

constexpr std::array<std::string_view, 3> fifo_only{"ContentBasedDeduplication", "ArchivePolicy",
                                                    "FifoThroughputScope"};

constexpr std::array<std::string_view, 7> subscription_names{
    "DeliveryPolicy", "FilterPolicy",        "FilterPolicyScope", "RawMessageDelivery",
    "RedrivePolicy",  "SubscriptionRoleArn", "ReplayPolicy"};

bool holds(const auto& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

ApiResult<bool> flag_of(const Attributes& attributes, std::string_view name) {
  auto value = value_of(attributes, name, "false");
  if (wire::iequals(value, "true")) return true;
  if (wire::iequals(value, "false")) return false;
  return invalid(name, fmt::format("Invalid value [{}]. Must be true or false.", value));
}

ApiResult<std::string_view> word_of(const Attributes& attributes, std::string_view name,
                                    std::string_view fallback, std::string_view other) {
  auto value = value_of(attributes, name, fallback);
  if (value == fallback || value == other) return value;
  return invalid(name, fmt::format("{} is neither {} nor {}", value, fallback, other));
}

ApiResult<DeliveryPolicy> checked(Result<DeliveryPolicy> policy) {
  if (!policy) return invalid(policy.error().message);
  return *std::move(policy);
}

// {"deadLetterTargetArn": "arn:aws:sqs:…"}: a queue of the topic's account and region, with order
// where the topic has it.
ApiResult<std::string> read_redrive(std::string_view text, const TopicRef& topic) {
  auto bad = [](std::string_view why) { return invalid("RedrivePolicy", why); };
  auto json = wire::parse_json(text);
  if (!json || !json->is_object()) return bad("failed to parse JSON.");
  std::string arn(json->string_or("deadLetterTargetArn"));
  auto parts = wire::split(arn, ':');
  if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "sqs") {
    return bad("deadLetterTargetArn is an invalid arn");
  }
  if (parts[3] != topic.scope.region.str() || parts[4] != topic.scope.account.str()) {
    return bad("the dead-letter queue must be in the topic's account and region");
  }
  if (arn.ends_with(".fifo") != topic.fifo()) {
    return bad(topic.fifo() ? "the dead-letter queue of a FIFO topic must be a FIFO queue"
                            : "the dead-letter queue of a standard topic must be a standard queue");
  }
  return arn;
}

}  // namespace

std::string_view value_of(const Attributes& attributes, std::string_view name,
                          std::string_view fallback) {
  auto found = attributes.find(name);
  return found == attributes.end() || found->second.empty() ? fallback
                                                            : std::string_view(found->second);
}

Attributes merged(Attributes into, const Attributes& given) {
  for (const auto& [name, value] : given) {
    if (value.empty()) {
      into.erase(name);
    } else {
      into.insert_or_assign(name, value);
    }
  }
  return into;
}

ApiResult<void> check_topic_attribute(std::string_view name, std::string_view value, bool fifo) {
  if (name.ends_with("FeedbackRoleArn") || name.ends_with("FeedbackSampleRate")) {
    return not_built(fmt::format("Delivery status logging ({}) is", name));
  }
  if (!holds(topic_names, name)) return invalid("AttributeName");
  if (!fifo && holds(fifo_only, name)) {
    return invalid(name, fmt::format("{} is an attribute of FIFO topics", name));
  }
  if (name == "ArchivePolicy" && !value.empty() && value != "{}") {
    return not_built("Archiving and replay of messages are");
  }
  if (name == "DisplayName" && value.size() > limits::sns_display_name_length) {
    return invalid(name,
                   fmt::format("it has more than {} characters", limits::sns_display_name_length));
  }
  if (name == "Policy" && !value.empty()) {
    if (value.size() > limits::sns_policy_bytes) return invalid("Policy too long");
    if (auto policy = guard::read_policy(value); !policy) {
      return invalid(fmt::format("Policy Error: {}", policy.error().message));
    }
  }
  return {};
}

ApiResult<TopicSettings> read_topic_settings(const Attributes& attributes, bool fifo) {
  TopicSettings out;
  TRY_ASSIGN(out.content_deduplication, flag_of(attributes, "ContentBasedDeduplication"));
  TRY_ASSIGN(auto scope, word_of(attributes, "FifoThroughputScope", "Topic", "MessageGroup"));
  out.group_scope = fifo && scope == "MessageGroup";
  TRY_ASSIGN(auto version, word_of(attributes, "SignatureVersion", "1", "2"));
  out.signature_version = version == "2" ? 2 : 1;
  TRY(word_of(attributes, "TracingConfig", "PassThrough", "Active"));
  TRY_ASSIGN(out.delivery, checked(parse_topic_policy(value_of(attributes, "DeliveryPolicy"))));
  return out;
}

ApiResult<void> check_subscription_attribute(std::string_view name, std::string_view value) {
  if (!holds(subscription_names, name)) return invalid("AttributeName");
  if (value.empty()) return {};
  if (name == "ReplayPolicy") return not_built("Archiving and replay of messages are");
  if (name == "SubscriptionRoleArn") {
    return not_built("Delivery to Firehose (SubscriptionRoleArn) is");
  }
  return {};
}

ApiResult<SubscriptionSettings> read_subscription_settings(const Attributes& attributes,
                                                           const TopicRef& topic,
                                                           std::string_view protocol) {
  SubscriptionSettings out;
  TRY_ASSIGN(out.raw, flag_of(attributes, "RawMessageDelivery"));
  if (out.raw && protocol == "lambda") {
    return invalid("RawMessageDelivery", "functions get no raw messages");
  }
  TRY_ASSIGN(auto scope,
             word_of(attributes, "FilterPolicyScope", "MessageAttributes", "MessageBody"));
  if (auto text = value_of(attributes, "FilterPolicy"); !text.empty() && text != "{}") {
    auto filter = FilterPolicy::parse(
        text, scope == "MessageBody" ? FilterPolicy::Scope::body : FilterPolicy::Scope::attributes);
    if (!filter) return invalid(filter.error().message);
    out.filter = *std::move(filter);
  }
  if (auto text = value_of(attributes, "RedrivePolicy"); !text.empty() && text != "{}") {
    TRY_ASSIGN(out.dead_letter_arn, read_redrive(text, topic));
  }
  if (auto text = value_of(attributes, "DeliveryPolicy"); !text.empty()) {
    if (protocol != "http" && protocol != "https") {
      return invalid("DeliveryPolicy", "only http and https endpoints can have one of their own");
    }
    TRY_ASSIGN(out.delivery, checked(parse_subscription_policy(text)));
  }
  return out;
}

}  // namespace mayfly::services::sns
