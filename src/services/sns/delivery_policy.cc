#include "services/sns/delivery_policy.h"

#include <cmath>

#include "base/limits.h"

namespace mayfly::services::sns {

namespace {

using wire::Json;

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("DeliveryPolicy: {}", why));
}

constexpr std::array<std::string_view, 4> backoff_names{"linear", "arithmetic", "geometric",
                                                        "exponential"};

// Content types of requestPolicy (the guide's list).
constexpr std::array<std::string_view, 17> content_types{"application/atom+xml",
                                                         "application/json",
                                                         "application/octet-stream",
                                                         "application/soap+xml",
                                                         "application/x-www-form-urlencoded",
                                                         "application/xhtml+xml",
                                                         "application/xml",
                                                         "text/css",
                                                         "text/csv",
                                                         "text/html",
                                                         "text/plain",
                                                         "text/xml",
                                                         "text/plain; charset=UTF-8",
                                                         "application/json; charset=UTF-8",
                                                         "application/xml; charset=UTF-8",
                                                         "text/html; charset=UTF-8",
                                                         "text/xml; charset=UTF-8"};

struct Number {
  std::string_view name;
  std::int64_t RetryPolicy::* member;
  std::int64_t min;
  std::int64_t max;
};
constexpr Number numbers[] = {
    {"minDelayTarget", &RetryPolicy::min_delay_s, 1, limits::sns_http_delay_seconds},
    {"maxDelayTarget", &RetryPolicy::max_delay_s, 1, limits::sns_http_delay_seconds},
    {"numRetries", &RetryPolicy::retries, 0, limits::sns_http_retries},
    {"numNoDelayRetries", &RetryPolicy::no_delay_retries, 0, limits::sns_http_retries},
    {"numMinDelayRetries", &RetryPolicy::min_delay_retries, 0, limits::sns_http_retries},
    {"numMaxDelayRetries", &RetryPolicy::max_delay_retries, 0, limits::sns_http_retries},
};

Result<> read_backoff(const Json& json, RetryPolicy& out) {
  const auto* name = json.find("backoffFunction");
  if (name == nullptr || name->is_null()) return {};
  auto found = std::ranges::find(backoff_names, name->string_value());
  if (found == backoff_names.end()) return bad("backoffFunction is not understood");
  out.backoff = static_cast<Backoff>(found - backoff_names.begin());
  return {};
}

Result<> read_retry(const Json* json, RetryPolicy& out) {
  if (json == nullptr || json->is_null()) return {};
  if (!json->is_object()) return bad("healthyRetryPolicy must be an object");
  for (const auto& number : numbers) {
    const auto* value = json->find(number.name);
    if (value == nullptr || value->is_null()) continue;
    const auto* whole = value->as<std::int64_t>();
    if (whole == nullptr || *whole < number.min || *whole > number.max) {
      return bad(fmt::format("{} must be a whole number from {} to {}", number.name, number.min,
                             number.max));
    }
    out.*number.member = *whole;
  }
  TRY(read_backoff(*json, out));
  if (out.min_delay_s > out.max_delay_s) {
    return bad("minDelayTarget must not be greater than maxDelayTarget");
  }
  if (out.no_delay_retries + out.min_delay_retries + out.max_delay_retries > out.retries) {
    return bad("numRetries must be at least the sum of the retries of its phases");
  }
  if (out.total_seconds() > limits::sns_http_delay_seconds) {
    return bad(fmt::format("the retries take longer than {} seconds in all",
                           limits::sns_http_delay_seconds));
  }
  return {};
}

Result<> read_throttle(const Json* json, DeliveryPolicy& out) {
  if (json == nullptr || json->is_null()) return {};
  const auto* rate = json->find("maxReceivesPerSecond");
  if (rate == nullptr || rate->is_null()) return {};
  const auto* whole = rate->as<std::int64_t>();
  if (whole == nullptr || *whole < 1) return bad("maxReceivesPerSecond must be 1 or more");
  out.receives_per_second = *whole;
  return {};
}

Result<> read_request(const Json* json, DeliveryPolicy& out) {
  if (json == nullptr || json->is_null()) return {};
  const auto* type = json->find("headerContentType");
  if (type == nullptr || type->is_null()) return {};
  if (std::ranges::find(content_types, type->string_value()) == content_types.end()) {
    return bad("headerContentType is not supported");
  }
  out.content_type = type->string_value();
  return {};
}

Result<Json> parse(std::string_view text) {
  auto json = wire::parse_json(text);
  if (!json || !json->is_object()) return bad("failed to parse JSON.");
  return *std::move(json);
}

Json retry_json(const RetryPolicy& retry) {
  Json out{wire::JsonObject()};
  for (const auto& number : numbers) out[number.name] = retry.*number.member;
  out["backoffFunction"] = backoff_names[static_cast<std::size_t>(retry.backoff)];
  return out;
}

std::string content_type_of(const DeliveryPolicy& policy) {
  return policy.content_type.empty() ? "text/plain; charset=UTF-8" : policy.content_type;
}

}  // namespace

std::optional<std::int64_t> RetryPolicy::delay_ms(std::int64_t failed) const {
  std::int64_t step = failed - 1;
  if (step < 0 || step >= retries) return std::nullopt;
  if (step < no_delay_retries) return 0;
  step -= no_delay_retries;
  if (step < min_delay_retries) return min_delay_s * 1000;
  step -= min_delay_retries;
  std::int64_t steps = retries - no_delay_retries - min_delay_retries - max_delay_retries;
  if (step >= steps) return max_delay_s * 1000;
  auto low = static_cast<double>(min_delay_s);
  auto high = static_cast<double>(max_delay_s);
  double part = steps > 1 ? static_cast<double>(step) / static_cast<double>(steps - 1) : 0;
  double seconds = low;
  switch (backoff) {
    case Backoff::linear: seconds = low + (high - low) * part; break;
    case Backoff::arithmetic: {
      // Steps that grow by the same amount each time.
      auto n = static_cast<double>(steps - 1);
      auto k = static_cast<double>(step);
      if (n > 0) seconds = low + (high - low) * (k * (k + 1)) / (n * (n + 1));
      break;
    }
    case Backoff::geometric: seconds = low * std::pow(high / low, part); break;
    case Backoff::exponential:
      seconds = std::min(high, low * std::pow(2.0, static_cast<double>(step)));
      break;
  }
  return std::llround(seconds * 1000);
}

std::int64_t RetryPolicy::total_seconds() const {
  std::int64_t out = 0;
  for (std::int64_t i = 1; i <= retries; ++i) out += delay_ms(i).value_or(0);
  return out / 1000;
}

RetryPolicy managed_policy() {
  return {.min_delay_s = 1,
          .max_delay_s = 20,
          .retries = 100'015,
          .no_delay_retries = 3,
          .min_delay_retries = 2,
          .max_delay_retries = 100'000,
          .backoff = Backoff::exponential};
}

Result<DeliveryPolicy> parse_subscription_policy(std::string_view text) {
  DeliveryPolicy out;
  if (text.empty()) return out;
  TRY_ASSIGN(const auto json, parse(text));
  TRY(read_retry(json.find("healthyRetryPolicy"), out.retry));
  TRY(read_throttle(json.find("throttlePolicy"), out));
  TRY(read_request(json.find("requestPolicy"), out));
  return out;
}

Result<DeliveryPolicy> parse_topic_policy(std::string_view text) {
  DeliveryPolicy out;
  if (text.empty()) return out;
  TRY_ASSIGN(const auto json, parse(text));
  const auto* http = json.find("http");
  if (http == nullptr || !http->is_object()) return bad("'http' must be an object");
  TRY(read_retry(http->find("defaultHealthyRetryPolicy"), out.retry));
  TRY(read_throttle(http->find("defaultThrottlePolicy"), out));
  TRY(read_request(http->find("defaultRequestPolicy"), out));
  out.fixed = http->bool_or("disableSubscriptionOverrides", false);
  return out;
}

std::string subscription_policy_text(const DeliveryPolicy& policy) {
  Json out{wire::JsonObject()};
  out["healthyRetryPolicy"] = retry_json(policy.retry);
  out["sicklyRetryPolicy"] = nullptr;
  out["throttlePolicy"] = nullptr;
  if (policy.receives_per_second > 0) {
    out["throttlePolicy"]["maxReceivesPerSecond"] = policy.receives_per_second;
  }
  out["requestPolicy"]["headerContentType"] = content_type_of(policy);
  out["guaranteed"] = false;
  return out.dump();
}

std::string topic_policy_text(const DeliveryPolicy& policy) {
  Json http{wire::JsonObject()};
  http["defaultHealthyRetryPolicy"] = retry_json(policy.retry);
  http["disableSubscriptionOverrides"] = policy.fixed;
  if (policy.receives_per_second > 0) {
    http["defaultThrottlePolicy"]["maxReceivesPerSecond"] = policy.receives_per_second;
  }
  http["defaultRequestPolicy"]["headerContentType"] = content_type_of(policy);
  Json out;
  out["http"] = std::move(http);
  return out.dump();
}

}  // namespace mayfly::services::sns
