// Names: queues by name, URL and ARN.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace mayfly::services::sqs {

struct QueueRef {
  Scope scope;
  std::string name;
  std::string arn() const;
  bool fifo() const { return name.ends_with(".fifo"); }
  auto operator<=>(const QueueRef&) const = default;
};

std::optional<QueueRef> parse_arn(std::string_view arn);
// "http://HOST/ACCOUNT/NAME"; the host is the one that the client used.
std::string url_of(const QueueRef& ref, std::string_view host);
// A URL (whatever its host), or the path of one. `here` gives the region. nullopt: it names none.
std::optional<QueueRef> parse_url(std::string_view url, const Scope& here);
// 1 to 80 of letters, digits, '-' and '_', with ".fifo" at the end of a FIFO queue's.
bool is_queue_name(std::string_view name, bool fifo);

}  // namespace mayfly::services::sqs
