// Envelopes: what a message looks like to those who get it (SNS developer guide, "Parsing message
// formats"; Lambda developer guide, "Invoking Lambda functions with Amazon SNS notifications").
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "services/sns/message.h"

namespace mayfly::services::sns {

// Where it goes, beside the message itself.
struct Addressee {
  std::string protocol;  // "sqs", "http" …: which body of MessageStructure json
  std::string subscription_arn;
  std::string host;         // by which URLs lead to this server
  std::string certificate;  // URL
  std::string signature;    // base64
};

// What is signed: a line with the name of each member and one with its value.
std::string text_to_sign(const Message& message, const std::string& protocol,
                         std::string_view host);
// The document of queues and http endpoints.
std::string document(const Message& message, const Addressee& to);
// The event of functions.
std::string lambda_event(const Message& message, const Addressee& to);

}  // namespace mayfly::services::sns
