#include "services/sns/links.h"

#include <fmt/format.h>

namespace mayfly::services::sns {

std::string subscribe_url(std::string_view host, std::string_view topic_arn,
                          std::string_view token) {
  return fmt::format("http://{}{}?Action=ConfirmSubscription&TopicArn={}&Token={}", host, own_path,
                     topic_arn, token);
}

std::string unsubscribe_url(std::string_view host, std::string_view subscription_arn) {
  return fmt::format("http://{}{}?Action=Unsubscribe&SubscriptionArn={}", host, own_path,
                     subscription_arn);
}

std::string url_at(std::string_view host, std::string_view path) {
  return fmt::format("http://{}{}", host, path);
}

}  // namespace mayfly::services::sns
