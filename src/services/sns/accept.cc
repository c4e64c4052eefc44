#include "services/sns/accept.h"

#include "base/limits.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 256 && !name.starts_with('.') && !name.ends_with('.') &&
         name.find("..") == name.npos && std::ranges::all_of(name, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

// Letters, digits and punctuation.
bool is_id(std::string_view text) {
  return text.size() <= limits::sns_id_length &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// ASCII, one line, not begun by a blank.
bool is_subject(std::string_view text) {
  return text.size() <= limits::sns_subject_length && !text.starts_with(' ') &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

Refusal bad_attribute(std::string_view name, std::string_view why) {
  return Refusal(model::invalid_parameter_value_exception(
      fmt::format("The message attribute '{}' {}", name, why)));
}

ApiResult<events::Attribute> read_attribute(const std::string& name, const wire::Value& value) {
  if (!is_name(name)) return bad_attribute(name, "has a name that is none");
  const auto* record = value.get<wire::Record>();
  if (record == nullptr) return bad_attribute(name, "must have a value");
  auto at = [&](std::string_view member) -> const wire::Value& {
    return record->at(static_cast<std::size_t>(record->index(member)));
  };
  const auto* type = at("DataType").get<std::string>();
  if (type == nullptr || type->empty()) {
    return bad_attribute(name, "must contain non-empty message attribute type.");
  }
  std::string base = type->substr(0, type->find('.'));
  bool known = base == "String" || base == "Number" || base == "Binary";
  if (!known) {
    return bad_attribute(name,
                         "has an invalid message attribute type, the set of supported type "
                         "prefixes is Binary, Number, and String.");
  }
  events::Attribute out{name, *type, {}};
  const auto* text = at("StringValue").get<std::string>();
  const auto* blob = at("BinaryValue").get<wire::Blob>();
  bool binary = base == "Binary";
  if (binary && blob != nullptr) out.value = blob->bytes;
  if (!binary && text != nullptr) out.value = *text;
  if (out.value.empty()) {
    return bad_attribute(
        name, fmt::format("must contain non-empty message attribute value for message attribute "
                          "type '{}'.",
                          *type));
  }
  if (base == "Number" && !wire::parse_double(out.value)) {
    return bad_attribute(name, "has a value that cannot be cast to a number.");
  }
  if (*type == "String.Array") {
    auto list = wire::parse_json(out.value);
    bool good = list && list->is_array() &&
                std::ranges::none_of(*list->as<wire::JsonArray>(), [](const wire::Json& one) {
                  return one.is_array() || one.is_object();
                });
    if (!good) return bad_attribute(name, "is no JSON array of strings, numbers and keywords.");
  }
  return out;
}

ApiResult<void> check_order(const Topic& topic, Message& message) {
  if (!is_id(message.group)) return invalid("MessageGroupId", "it is no id");
  if (!is_id(message.deduplication)) return invalid("MessageDeduplicationId", "it is no id");
  if (!topic.fifo()) {
    if (message.deduplication.empty()) return {};
    return invalid("MessageDeduplicationId",
                   "The request includes MessageDeduplicationId parameter that is not valid for "
                   "this topic type");
  }
  if (message.group.empty()) {
    return invalid("The MessageGroupId parameter is required for FIFO topics");
  }
  if (!message.deduplication.empty()) return {};
  if (!topic.info().settings.content_deduplication) {
    return invalid(
        "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId "
        "provided explicitly");
  }
  message.deduplication = wire::sha256_hex(message.body);
  return {};
}

}  // namespace

ApiResult<void> take_structure(std::string_view structure, Message& message) {
  if (structure.empty()) return {};
  if (structure != "json") return invalid("MessageStructure");
  auto json = wire::parse_json(message.body);
  if (!json || !json->is_object()) {
    return invalid("Message Structure - JSON message body failed to parse");
  }
  const auto* fallback = json->find("default");
  if (fallback == nullptr || !fallback->is_string()) {
    return invalid("Message Structure - No default entry in JSON message body");
  }
  std::string body(fallback->string_value());
  for (const auto& [protocol, text] : *json->as<wire::JsonObject>()) {
    if (protocol != "default" && text.is_string()) {
      message.bodies.insert_or_assign(protocol, std::string(text.string_value()));
    }
  }
  message.body = std::move(body);
  return {};
}

ApiResult<std::vector<events::Attribute>> read_attributes(const wire::Value* map) {
  std::vector<events::Attribute> out;
  const auto* entries = map == nullptr ? nullptr : map->get<wire::Map>();
  if (entries == nullptr) return out;
  for (const auto& [name, value] : *entries) {
    TRY_ASSIGN(auto one, read_attribute(name, value));
    if (std::ranges::find(out, one.name, &events::Attribute::name) != out.end()) {
      return bad_attribute(name, "is there twice");
    }
    out.push_back(std::move(one));
  }
  return out;
}

ApiResult<void> accept(const Topic& topic, Message& message) {
  if (message.body.empty()) return invalid("Empty message");
  if (!wire::is_utf8(message.body)) return invalid("Message must be UTF-8");
  for (const auto& one : message.attributes) {
    bool text = !one.type.starts_with("Binary");
    if (!wire::is_utf8(one.name + one.type) || (text && !wire::is_utf8(one.value))) {
      return invalid("MessageAttributes must be UTF-8");
    }
  }
  // A header may be anything.
  if (!wire::is_utf8(message.trace)) message.trace.clear();
  if (size_of(message) > limits::sns_message_bytes) return invalid("Message too long");
  if (!is_subject(message.subject)) return invalid("Subject");
  return check_order(topic, message);
}

}  // namespace mayfly::services::sns
