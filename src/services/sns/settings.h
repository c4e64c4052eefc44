// Settings: attributes of topics and of subscriptions, read and checked; they are kept as the texts
// that were given.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "services/sns/delivery_policy.h"
#include "services/sns/errors.h"
#include "services/sns/filter.h"
#include "services/sns/names.h"

namespace mayfly::services::sns {

using Attributes = std::map<std::string, std::string, std::less<>>;

struct TopicSettings {
  bool content_deduplication = false;
  bool group_scope = false;  // FifoThroughputScope MessageGroup: deduplication within a group
  int signature_version = 1;
  DeliveryPolicy delivery;
};

struct SubscriptionSettings {
  bool raw = false;
  std::optional<FilterPolicy> filter;
  std::string dead_letter_arn;  // empty: none
  std::optional<DeliveryPolicy> delivery;
};

// Names that CreateTopic or SetTopicAttributes take: InvalidParameter for unknown ones, 501 for
// those whose effect is not built.
ApiResult<void> check_topic_attribute(std::string_view name, std::string_view value, bool fifo);
ApiResult<TopicSettings> read_topic_settings(const Attributes& attributes, bool fifo);

ApiResult<void> check_subscription_attribute(std::string_view name, std::string_view value);
ApiResult<SubscriptionSettings> read_subscription_settings(const Attributes& attributes,
                                                           const TopicRef& topic,
                                                           std::string_view protocol);

// Sets what has a value and takes away what has none.
Attributes merged(Attributes into, const Attributes& given);
std::string_view value_of(const Attributes& attributes, std::string_view name,
                          std::string_view fallback = {});

}  // namespace mayfly::services::sns
