// Links: the URLs in what topics send. They lead to this server, by the host that the subscriber
// used, and say what they are for in the parameters of the cloud's own.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::services::sns {

// What the server serves for topics: certificates, confirmations, ends of subscriptions.
inline constexpr std::string_view own_path = "/_mayfly/sns/";

std::string subscribe_url(std::string_view host, std::string_view topic_arn,
                          std::string_view token);
std::string unsubscribe_url(std::string_view host, std::string_view subscription_arn);
std::string url_at(std::string_view host, std::string_view path);

}  // namespace mayfly::services::sns
