#include "services/sns/envelope.h"

#include "services/sns/links.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

std::string time_of(const Message& message) {
  return wire::format_iso8601(message.published_ms, wire::Fraction::millis);
}

std::string attribute_value(const events::Attribute& one) {
  return one.type.starts_with("Binary") ? wire::base64_encode(one.value) : one.value;
}

// {"name":{"Type":"String","Value":"…"}}, with or without blanks.
std::string attributes_text(const Message& message, bool spacious) {
  std::string out;
  for (const auto& one : message.attributes) {
    if (spacious) {
      out += fmt::format("{}\n    {} : {{\"Type\":{},\"Value\":{}}}", out.empty() ? "" : ",",
                         wire::json_quoted(one.name), wire::json_quoted(one.type),
                         wire::json_quoted(attribute_value(one)));
    } else {
      out += fmt::format("{}{}:{{\"Type\":{},\"Value\":{}}}", out.empty() ? "" : ",",
                         wire::json_quoted(one.name), wire::json_quoted(one.type),
                         wire::json_quoted(attribute_value(one)));
    }
  }
  return out;
}

// The members of the document, in the order of the guide's examples.
class Document {
 public:
  void add(std::string_view name, std::string_view value) {
    text_ += fmt::format("{}\n  {} : {}", text_.empty() ? "" : ",", wire::json_quoted(name),
                         wire::json_quoted(value));
  }
  void add_raw(std::string_view name, std::string_view json) {
    text_ += fmt::format("{}\n  {} : {}", text_.empty() ? "" : ",", wire::json_quoted(name), json);
  }
  std::string take() && { return "{" + text_ + "\n}"; }

 private:
  std::string text_;
};

}  // namespace

std::string text_to_sign(const Message& message, const std::string& protocol,
                         std::string_view host) {
  std::string out;
  auto add = [&out](std::string_view name, std::string_view value) {
    out += fmt::format("{}\n{}\n", name, value);
  };
  bool notification = message.type == Message::Type::notification;
  add("Message", message.body_for(protocol));
  add("MessageId", message.id);
  if (notification && !message.subject.empty()) add("Subject", message.subject);
  if (!notification) {
    add("SubscribeURL", subscribe_url(host, message.topic_arn, message.token));
  }
  add("Timestamp", time_of(message));
  if (!notification) add("Token", message.token);
  add("TopicArn", message.topic_arn);
  add("Type", name_of(message.type));
  return out;
}

std::string document(const Message& message, const Addressee& to) {
  bool notification = message.type == Message::Type::notification;
  Document out;
  out.add("Type", name_of(message.type));
  out.add("MessageId", message.id);
  if (!notification) out.add("Token", message.token);
  if (notification && message.topic_arn.ends_with(".fifo")) {
    out.add("SequenceNumber", sequence_text(message.seq));
  }
  out.add("TopicArn", message.topic_arn);
  if (notification && !message.subject.empty()) out.add("Subject", message.subject);
  out.add("Message", message.body_for(to.protocol));
  if (!notification) {
    out.add("SubscribeURL", subscribe_url(to.host, message.topic_arn, message.token));
  }
  out.add("Timestamp", time_of(message));
  out.add("SignatureVersion", fmt::format("{}", message.signature_version));
  out.add("Signature", to.signature);
  out.add("SigningCertURL", to.certificate);
  if (notification) out.add("UnsubscribeURL", unsubscribe_url(to.host, to.subscription_arn));
  if (!message.attributes.empty()) {
    out.add_raw("MessageAttributes", fmt::format("{{{}\n  }}", attributes_text(message, true)));
  }
  return std::move(out).take();
}

std::string lambda_event(const Message& message, const Addressee& to) {
  return fmt::format(
      R"({{"Records":[{{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":{},)"
      R"("Sns":{{"Type":"Notification","MessageId":{},"TopicArn":{},"Subject":{},"Message":{},)"
      R"("Timestamp":{},"SignatureVersion":"{}","Signature":{},"SigningCertUrl":{},)"
      R"("UnsubscribeUrl":{},"MessageAttributes":{{{}}}}}}}]}})",
      wire::json_quoted(to.subscription_arn), wire::json_quoted(message.id),
      wire::json_quoted(message.topic_arn),
      message.subject.empty() ? "null" : wire::json_quoted(message.subject),
      wire::json_quoted(message.body_for(to.protocol)), wire::json_quoted(time_of(message)),
      message.signature_version, wire::json_quoted(to.signature), wire::json_quoted(to.certificate),
      wire::json_quoted(unsubscribe_url(to.host, to.subscription_arn)),
      attributes_text(message, false));
}

}  // namespace mayfly::services::sns
