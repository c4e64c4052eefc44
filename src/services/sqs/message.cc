#include "services/sqs/message.h"

#include "base/limits.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

// format(1) integers (little-endian) · texts, each a length(4) and its bytes
constexpr char format = 'm';

template <class T>
void put_integer(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
  }
}
void put_text(std::string& out, std::string_view text) {
  put_integer(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

class Taker {
 public:
  explicit Taker(std::string_view in) : in_(in) {}
  template <class T>
  Taker& integer(T& value) {
    std::uint64_t read = 0;
    good_ = good_ && in_.size() >= sizeof(T);
    if (!good_) return *this;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      read |= static_cast<std::uint64_t>(static_cast<unsigned char>(in_[i])) << (8 * i);
    }
    value = static_cast<T>(read);
    in_.remove_prefix(sizeof(T));
    return *this;
  }
  Taker& text(std::string& value) {
    std::uint32_t size = 0;
    integer(size);
    good_ = good_ && in_.size() >= size;
    if (!good_) return *this;
    value = in_.substr(0, size);
    in_.remove_prefix(size);
    return *this;
  }
  bool good() const { return good_; }
  bool whole() const { return good_ && in_.empty(); }

 private:
  std::string_view in_;
  bool good_ = true;
};

void put_length(std::string& out, std::string_view text) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(text.size() >> shift & 0xff);
  }
  out += text;
}

ApiResult<void> check_name(std::string_view name) {
  bool good = !name.empty() && name.size() <= 256 && !name.starts_with('.') &&
              !name.ends_with('.') && name.find("..") == name.npos &&
              std::ranges::all_of(name, [](char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.';
              });
  std::string lower = wire::to_lower(name);
  if (good && !lower.starts_with("aws.") && !lower.starts_with("amazon.")) return {};
  return invalid_parameter(fmt::format("The message attribute name '{}' is invalid.", name));
}

// String, Number or Binary, with a label of the client's own behind a dot.
ApiResult<void> check_type(std::string_view name, std::string_view type) {
  std::string_view base = type.substr(0, type.find('.'));
  if (type.size() <= 256 && (base == "String" || base == "Number" || base == "Binary")) return {};
  return invalid_parameter(
      fmt::format("The message attribute '{}' has an invalid message attribute type, the set of "
                  "supported type prefixes is Binary, Number, and String.",
                  name));
}

ApiResult<MessageAttribute> read_attribute(const std::string& name, const wire::Value& value) {
  TRY(check_name(name));
  const auto* record = value.get<wire::Record>();
  if (record == nullptr) return missing_parameter("MessageAttributeValue");
  auto text_at = [&](std::string_view member) -> const wire::Value& {
    return record->at(static_cast<std::size_t>(record->index(member)));
  };
  const auto* type = text_at("DataType").get<std::string>();
  if (type == nullptr || type->empty()) {
    return invalid_parameter(fmt::format(
        "The message attribute '{}' must contain non-empty message attribute type.", name));
  }
  TRY(check_type(name, *type));
  if (!text_at("StringListValues").is_null() || !text_at("BinaryListValues").is_null()) {
    return unsupported("Message attribute list values in SendMessage operation are not supported.");
  }
  MessageAttribute out{name, *type, {}};
  const auto* text = text_at("StringValue").get<std::string>();
  const auto* blob = text_at("BinaryValue").get<wire::Blob>();
  if (out.binary() ? blob != nullptr : text != nullptr) {
    out.value = out.binary() ? blob->bytes : *text;
  }
  if (out.value.empty()) {
    return invalid_parameter(
        fmt::format("The message attribute '{}' must contain a non-empty message attribute value "
                    "for its type '{}'.",
                    name, *type));
  }
  if (type->starts_with("Number") && !wire::parse_double(out.value)) {
    return invalid_parameter(
        fmt::format("Can't cast the value of message (user) attribute '{}' to a number.", name));
  }
  if (!out.binary()) TRY(check_characters(out.value));
  return out;
}

}  // namespace

std::string encode(const Message& message) {
  std::string out(1, format);
  out.reserve(message.body.size() + 256);
  put_integer(out, message.sent_ms);
  put_integer(out, message.delayed_until_ms);
  put_integer(out, message.first_receive_ms);
  put_integer(out, message.receives);
  for (const auto* text : {&message.id, &message.sender_id, &message.group, &message.deduplication,
                           &message.trace, &message.source_arn, &message.body}) {
    put_text(out, *text);
  }
  put_integer(out, static_cast<std::uint32_t>(message.attributes.size()));
  for (const auto& attribute : message.attributes) {
    put_text(out, attribute.name);
    put_text(out, attribute.type);
    put_text(out, attribute.value);
  }
  return out;
}

Result<Message> decode_message(std::string_view bytes, std::uint64_t seq) {
  if (!bytes.starts_with(format)) return fail(ErrorKind::corrupt, "a message of unknown format");
  Message out;
  out.seq = seq;
  std::uint32_t count = 0;
  Taker in(bytes.substr(1));
  in.integer(out.sent_ms).integer(out.delayed_until_ms).integer(out.first_receive_ms);
  in.integer(out.receives);
  in.text(out.id).text(out.sender_id).text(out.group).text(out.deduplication);
  in.text(out.trace).text(out.source_arn).text(out.body).integer(count);
  for (std::uint32_t i = 0; i < count && in.good(); ++i) {
    auto& one = out.attributes.emplace_back();
    in.text(one.name).text(one.type).text(one.value);
  }
  if (!in.whole()) return fail(ErrorKind::corrupt, "a message is cut short or too long");
  return out;
}

std::string sequence_text(std::uint64_t seq) { return fmt::format("{:020}", seq); }

std::string md5_hex(std::string_view bytes) { return wire::hex_encode(wire::md5(bytes)); }

std::string md5_of_attributes(std::vector<MessageAttribute> attributes) {
  if (attributes.empty()) return {};
  std::ranges::sort(attributes, {}, &MessageAttribute::name);
  std::string bytes;
  for (const auto& one : attributes) {
    put_length(bytes, one.name);
    put_length(bytes, one.type);
    bytes += one.binary() ? '\2' : '\1';
    put_length(bytes, one.value);
  }
  return md5_hex(bytes);
}

std::size_t size_of(const Message& message) {
  std::size_t out = message.body.size();
  for (const auto& one : message.attributes) {
    out += one.name.size() + one.type.size() + one.value.size();
  }
  return out;
}

ApiResult<void> check_characters(std::string_view body) {
  for (std::size_t i = 0; i < body.size();) {
    std::size_t length = wire::utf8_sequence(body, i);
    auto byte = static_cast<unsigned char>(body[i]);
    bool good = length > 0 && (byte >= 0x20 || byte == '\t' || byte == '\n' || byte == '\r');
    std::string_view sequence = body.substr(i, length);
    if (!good || sequence == "\xef\xbf\xbe" || sequence == "\xef\xbf\xbf") {
      return Refusal(model::invalid_message_contents(
          fmt::format("Invalid binary character '#x{:X}' was found in the message body, the set of "
                      "allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
                      "#x10000 to #x10FFFF",
                      byte)));
    }
    i += length;
  }
  return {};
}

ApiResult<std::vector<MessageAttribute>> read_attributes(const wire::Value* map) {
  std::vector<MessageAttribute> out;
  const auto* entries = map == nullptr ? nullptr : map->get<wire::Map>();
  if (entries == nullptr) return out;
  if (entries->size() > limits::sqs_message_attributes) {
    return invalid_parameter(
        fmt::format("Number of message attributes [{}] exceeds the allowed maximum [{}].",
                    entries->size(), limits::sqs_message_attributes));
  }
  for (const auto& [name, value] : *entries) {
    TRY_ASSIGN(auto one, read_attribute(name, value));
    bool twice = std::ranges::find(out, one.name, &MessageAttribute::name) != out.end();
    if (twice) {
      return invalid_parameter(fmt::format("Message attribute name '{}' already exists.", name));
    }
    out.push_back(std::move(one));
  }
  return out;
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= limits::sqs_id_length &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace mayfly::services::sqs
