// Settings: what a queue's attributes say, read and checked once (API reference, CreateQueue and
// SetQueueAttributes).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "services/sqs/errors.h"
#include "services/sqs/names.h"

namespace mayfly::services::sqs {

using Attributes = std::map<std::string, std::string, std::less<>>;

struct Settings {
  std::int64_t delay_ms = 0;
  std::int64_t retention_ms = 0;
  std::int64_t visibility_ms = 0;
  std::int64_t wait_ms = 0;
  std::size_t message_bytes = 0;
  bool content_deduplication = false;
  bool deduplicate_by_group = false;
  // Dead letters.
  std::string dead_letter_arn;  // empty: none
  std::uint32_t receives_max = 0;
  // Who may name this queue as theirs.
  enum class Allow { all, none, by_queue };
  Allow allow = Allow::all;
  std::vector<std::string> allowed_arns;

  bool allows(std::string_view source_arn) const;
};

// Of the attributes a client may set, with defaults for those that are not there; every value is
// checked. `attributes` are those of the queue and what the call changes.
ApiResult<Settings> read_settings(const Attributes& attributes, const QueueRef& queue);

// Names that a client may set on a queue of that kind; the others are unknown or may only be read.
ApiResult<void> check_settable(std::string_view name, bool fifo);

// The attribute as GetQueueAttributes answers it where nobody has set it; empty: not at all.
std::string default_of(std::string_view name, bool fifo);
// Names that GetQueueAttributes answers from the attributes or their defaults.
std::span<const std::string_view> stored_names();
// Of the enumeration of the model: what GetQueueAttributes may be asked for.
bool is_attribute(std::string_view name);

}  // namespace mayfly::services::sqs
