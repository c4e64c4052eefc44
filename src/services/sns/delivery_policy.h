// RetryPolicy: when a delivery that failed is tried again (SNS developer guide, "Amazon SNS message
// delivery retries"): immediately, then at the minimum delay, then backing off, then at the maximum
// delay. Queues and functions have one policy for all; http endpoints the one of their
// subscription, else of their topic, else the default.
//
// Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/json.h"

namespace mayfly::services::sns {

enum class Backoff { linear, arithmetic, geometric, exponential };

struct RetryPolicy {
  std::int64_t min_delay_s = 20;
  std::int64_t max_delay_s = 20;
  std::int64_t retries = 3;
  std::int64_t no_delay_retries = 0;
  std::int64_t min_delay_retries = 0;
  std::int64_t max_delay_retries = 0;
  Backoff backoff = Backoff::linear;

  // Of the retry that comes after `failed` attempts (1: the first has failed); nullopt: there is
  // none. The guide names the functions and shows curves; these pass through the minimum at the
  // first step and the maximum at the last one.
  std::optional<std::int64_t> delay_ms(std::int64_t failed) const;
  std::int64_t total_seconds() const;
};

// Of queues and functions: 100,015 attempts in 23 days.
RetryPolicy managed_policy();

struct DeliveryPolicy {
  RetryPolicy retry;
  std::int64_t receives_per_second = 0;  // 0: as many as there are
  std::string content_type;              // empty: text/plain; charset=UTF-8
  bool fixed = false;                    // of a topic: subscriptions have no say
};

// Of a subscription: {"healthyRetryPolicy": …, "throttlePolicy": …, "requestPolicy": …}; of a
// topic: {"http": {"defaultHealthyRetryPolicy": …, "disableSubscriptionOverrides": …, …}}. Kind
// invalid: "DeliveryPolicy: …".
Result<DeliveryPolicy> parse_subscription_policy(std::string_view text);
Result<DeliveryPolicy> parse_topic_policy(std::string_view text);

// As answered in EffectiveDeliveryPolicy.
std::string subscription_policy_text(const DeliveryPolicy& policy);
std::string topic_policy_text(const DeliveryPolicy& policy);

}  // namespace mayfly::services::sns
