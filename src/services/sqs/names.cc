#include "services/sqs/names.h"

#include "base/limits.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

}  // namespace

std::string QueueRef::arn() const {
  return fmt::format("arn:aws:sqs:{}:{}:{}", scope.region.str(), scope.account.str(), name);
}

std::optional<QueueRef> parse_arn(std::string_view arn) {
  auto parts = wire::split(arn, ':');
  if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "sqs" || parts[3].empty() ||
      !is_account(parts[4]) || !is_queue_name(parts[5], parts[5].ends_with(".fifo"))) {
    return std::nullopt;
  }
  return QueueRef{{AccountId(std::string(parts[4])), Region(std::string(parts[3]))},
                  std::string(parts[5])};
}

std::string url_of(const QueueRef& ref, std::string_view host) {
  return fmt::format("http://{}/{}/{}", host, ref.scope.account.str(), ref.name);
}

std::optional<QueueRef> parse_url(std::string_view url, const Scope& here) {
  if (std::size_t scheme = url.find("://"); scheme != url.npos) url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find('?'));
  while (url.ends_with('/')) url.remove_suffix(1);
  auto parts = wire::split(url, '/');
  QueueRef out{here, std::string(parts.back())};
  // A bare name is taken as well, as some clients send one.
  if (parts.size() > 1) {
    if (!is_account(parts[parts.size() - 2])) return std::nullopt;
    out.scope.account = AccountId(std::string(parts[parts.size() - 2]));
  }
  if (!is_queue_name(out.name, out.fifo())) return std::nullopt;
  return out;
}

bool is_queue_name(std::string_view name, bool fifo) {
  if (name.empty() || name.size() > limits::sqs_name_length) return false;
  if (fifo) {
    if (!name.ends_with(".fifo")) return false;
    name.remove_suffix(5);
  }
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
}

}  // namespace mayfly::services::sqs
