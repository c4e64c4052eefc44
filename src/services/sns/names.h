// Names: topics by name and ARN, subscriptions by ARN.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace mayfly::services::sns {

struct TopicRef {
  Scope scope;
  std::string name;
  std::string arn() const;
  bool fifo() const { return name.ends_with(".fifo"); }
  auto operator<=>(const TopicRef&) const = default;
};

// nullopt: it is no topic's.
std::optional<TopicRef> parse_topic(std::string_view arn);

// "arn:aws:sns:REGION:ACCOUNT:TOPIC:UUID"
struct SubscriptionRef {
  TopicRef topic;
  std::string id;  // UUID
  std::string arn() const { return topic.arn() + ":" + id; }
};
std::optional<SubscriptionRef> parse_subscription(std::string_view arn);

// 1 to 256 of letters, digits, '-' and '_', with ".fifo" at the end of a FIFO topic's.
bool is_topic_name(std::string_view name);

}  // namespace mayfly::services::sns
