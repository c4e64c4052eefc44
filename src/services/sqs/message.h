// Message: what is sent, as it is kept in the store; its digests and the rules for its parts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "services/sqs/errors.h"

namespace mayfly::services::sqs {

struct MessageAttribute {
  std::string name;
  std::string type;  // "String", "Number.int", "Binary" …
  std::string value;
  bool binary() const { return type.starts_with("Binary"); }
  bool operator==(const MessageAttribute&) const = default;
};

struct Message {
  std::uint64_t seq = 0;  // the order of arrival in its queue; a FIFO queue's sequence number
  std::string id;         // UUID
  std::string body;
  std::string sender_id;
  std::int64_t sent_ms = 0;
  std::int64_t delayed_until_ms = 0;
  std::string group;          // MessageGroupId, or empty
  std::string deduplication;  // MessageDeduplicationId, or empty
  std::string trace;          // AWSTraceHeader, or empty
  std::vector<MessageAttribute> attributes;
  std::string source_arn;  // of the queue it was moved from, as a dead letter
  std::uint32_t receives = 0;
  std::int64_t first_receive_ms = 0;
  bool operator==(const Message&) const = default;
};

std::string encode(const Message& message);
Result<Message> decode_message(std::string_view bytes, std::uint64_t seq);

// 20 digits.
std::string sequence_text(std::uint64_t seq);

std::string md5_hex(std::string_view bytes);
// Of names, types and values, each with its length, in the order of the names (SQS developer guide,
// "Calculating the MD5 message digest for message attributes"). Empty where there are none.
std::string md5_of_attributes(std::vector<MessageAttribute> attributes);

// Body bytes, and names, types and values of the attributes.
std::size_t size_of(const Message& message);
// Well-formed and only of the characters that XML 1.0 has.
ApiResult<void> check_characters(std::string_view body);
// The map of a request: MessageAttributes, or MessageSystemAttributes.
ApiResult<std::vector<MessageAttribute>> read_attributes(const wire::Value* map);
// Letters, digits and punctuation, 1 to 128 of them: groups and deduplication.
bool is_id(std::string_view text);

}  // namespace mayfly::services::sqs
