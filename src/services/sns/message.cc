#include "services/sns/message.h"

#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

using wire::Json;
using wire::JsonArray;

// Members that are texts and mostly empty.
struct Text {
  std::string_view name;
  std::string Message::* member;
};
constexpr Text texts[] = {
    {"id", &Message::id},           {"topic", &Message::topic_arn},
    {"subject", &Message::subject}, {"body", &Message::body},
    {"group", &Message::group},     {"deduplication", &Message::deduplication},
    {"trace", &Message::trace},     {"token", &Message::token},
};

bool is_binary(const events::Attribute& one) { return one.type.starts_with("Binary"); }

}  // namespace

const std::string& Message::body_for(const std::string& protocol) const {
  auto own = bodies.find(protocol);
  return own == bodies.end() ? body : own->second;
}

std::string_view name_of(Message::Type type) {
  switch (type) {
    case Message::Type::notification: return "Notification";
    case Message::Type::confirmation: return "SubscriptionConfirmation";
    case Message::Type::end: return "UnsubscribeConfirmation";
  }
  return {};
}

std::string encode(const Message& message) {
  Json out{wire::JsonObject()};
  out["type"] = static_cast<int>(message.type);
  out["published_ms"] = message.published_ms;
  out["signature"] = message.signature_version;
  for (const auto& text : texts) {
    if (!(message.*text.member).empty()) out[text.name] = message.*text.member;
  }
  for (const auto& [protocol, body] : message.bodies) out["bodies"][protocol] = body;
  for (const auto& one : message.attributes) {
    out["attributes"].push_back(Json::array(
        {one.name, one.type, is_binary(one) ? wire::base64_encode(one.value) : one.value}));
  }
  return out.dump();
}

Result<Message> decode_message(std::string_view text, std::uint64_t seq) {
  TRY_ASSIGN(const auto json, wire::parse_json(text));
  Message out;
  out.seq = seq;
  out.type = static_cast<Message::Type>(json.int_or("type", 0));
  out.published_ms = json.int_or("published_ms", 0);
  out.signature_version = static_cast<int>(json.int_or("signature", 1));
  for (const auto& one : texts) out.*one.member = json.string_or(one.name);
  if (const auto* bodies = json.find("bodies"); bodies != nullptr && bodies->is_object()) {
    for (const auto& [protocol, body] : *bodies->as<wire::JsonObject>()) {
      out.bodies.emplace(protocol, body.string_value());
    }
  }
  if (const auto* attributes = json.find("attributes");
      attributes != nullptr && attributes->is_array()) {
    for (const auto& one : *attributes->as<JsonArray>()) {
      const auto* parts = one.as<JsonArray>();
      if (parts == nullptr || parts->size() != 3) {
        return fail(ErrorKind::corrupt, "an attribute of a message is none");
      }
      events::Attribute attribute{std::string((*parts)[0].string_value()),
                                  std::string((*parts)[1].string_value()),
                                  std::string((*parts)[2].string_value())};
      if (is_binary(attribute)) {
        TRY_ASSIGN(attribute.value, wire::base64_decode(attribute.value));
      }
      out.attributes.push_back(std::move(attribute));
    }
  }
  return out;
}

std::string sequence_text(std::uint64_t seq) { return fmt::format("1{:019}", seq); }

std::size_t size_of(const Message& message) {
  std::size_t out = message.body.size();
  for (const auto& [protocol, body] : message.bodies) out += protocol.size() + body.size();
  for (const auto& one : message.attributes) {
    out += one.name.size() + one.type.size() + one.value.size();
  }
  return out;
}

Json attributes_as_json(const Message& message) {
  Json out{wire::JsonObject()};
  for (const auto& one : message.attributes) {
    if (is_binary(one)) continue;
    if (one.type == "String.Array") {
      if (auto list = wire::parse_json(one.value)) out[one.name] = *std::move(list);
      continue;
    }
    if (one.type.starts_with("Number")) {
      if (auto number = wire::parse_double(one.value)) out[one.name] = *number;
      continue;
    }
    out[one.name] = one.value;
  }
  return out;
}

}  // namespace mayfly::services::sns
