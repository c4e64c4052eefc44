// Message: what was published, as it is kept in the store until every subscription is done with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "events/target.h"
#include "wire/json.h"

namespace mayfly::services::sns {

struct Message {
  // What it tells its receiver: the other two go to one subscription, to have it confirmed, or when
  // it has ended.
  enum class Type { notification, confirmation, end };
  std::uint64_t seq = 0;  // the order of arrival; the name of its row
  Type type = Type::notification;
  std::string id;  // UUID
  std::string topic_arn;
  std::string subject;  // empty: none
  std::string body;
  std::map<std::string, std::string> bodies;  // MessageStructure json: by protocol
  std::vector<events::Attribute> attributes;
  std::string group;
  std::string deduplication;
  std::int64_t published_ms = 0;
  std::string trace;
  std::string token;  // of the subscription, with the other two types
  int signature_version = 1;

  const std::string& body_for(const std::string& protocol) const;
};

std::string_view name_of(Message::Type type);

std::string encode(const Message& message);
Result<Message> decode_message(std::string_view text, std::uint64_t seq);

// 20 digits that grow.
std::string sequence_text(std::uint64_t seq);

// Bytes that count: the body, and names, types and values of attributes.
std::size_t size_of(const Message& message);

// What filters by attributes look at: strings, numbers, and the members of String.Array. Binary
// attributes have no say.
wire::Json attributes_as_json(const Message& message);

}  // namespace mayfly::services::sns
