#include "services/sns/names.h"

#include "base/limits.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

std::optional<TopicRef> topic_of(const std::vector<std::string_view>& parts) {
  if (parts.size() < 6 || parts[0] != "arn" || parts[2] != "sns" || parts[3].empty() ||
      !is_account(parts[4]) || !is_topic_name(parts[5])) {
    return std::nullopt;
  }
  return TopicRef{{AccountId(std::string(parts[4])), Region(std::string(parts[3]))},
                  std::string(parts[5])};
}

}  // namespace

std::string TopicRef::arn() const {
  return fmt::format("arn:aws:sns:{}:{}:{}", scope.region.str(), scope.account.str(), name);
}

std::optional<TopicRef> parse_topic(std::string_view arn) {
  auto parts = wire::split(arn, ':');
  return parts.size() == 6 ? topic_of(parts) : std::nullopt;
}

std::optional<SubscriptionRef> parse_subscription(std::string_view arn) {
  auto parts = wire::split(arn, ':');
  if (parts.size() != 7 || parts[6].empty()) return std::nullopt;
  auto topic = topic_of(parts);
  if (!topic) return std::nullopt;
  return SubscriptionRef{*std::move(topic), std::string(parts[6])};
}

bool is_topic_name(std::string_view name) {
  if (name.empty() || name.size() > limits::sns_name_length) return false;
  if (name.ends_with(".fifo")) name.remove_suffix(5);
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
}

}  // namespace mayfly::services::sns
