#include <signal.h>

#include <iostream>
#include <iterator>
#include <pugixml.hpp>

#include "base/random.h"
#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

using wire::Json;
using Parameters = wire::Pairs;

constexpr int wait_seconds = 2;  // of one look at the queue of a tail: a signal ends it then

// One operation of SNS, which speaks the query protocol: forms in, XML out. Answers what is inside
// "<OPERATIONResult>".
class Sns {
 public:
  explicit Sns(Client& client) : client_(client) {}

  Result<> call(const std::string& operation, const Parameters& parameters) {
    Request request{.service = "sns", .method = "POST", .path = "/"};
    request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
    request.body = fmt::format("Action={}&Version=2010-03-31", operation);
    for (const auto& [name, value] : parameters) {
      request.body += fmt::format("&{}={}", name, wire::percent_encode(value));
    }
    TRY_ASSIGN(const auto reply, client_.send(request));
    answer_.reset();
    if (!answer_.load_buffer(reply.body.data(), reply.body.size())) {
      return fail(ErrorKind::corrupt, "the server's answer is no XML");
    }
    if (reply.status >= 300) {
      auto error = answer_.document_element().child("Error");
      return fail(ErrorKind::invalid, error.child_value("Message"), error.child_value("Code"));
    }
    result_ = answer_.document_element().child((operation + "Result").c_str());
    return {};
  }
  const pugi::xml_node& result() const { return result_; }
  std::string text(const char* name) const { return result_.child_value(name); }

 private:
  Client& client_;
  pugi::xml_document answer_;
  pugi::xml_node result_;
};

Result<Json> sqs(Client& client, const std::string& operation, const Json& input) {
  Request request{.service = "sqs", .method = "POST", .path = "/"};
  request.headers = {{"X-Amz-Target", "AmazonSQS." + operation},
                     {"Content-Type", "application/x-amz-json-1.0"}};
  return client.json(std::move(request), &input);
}

Result<std::string> arn_of(Client& client, const std::string& name) {
  if (name.empty()) return fail(ErrorKind::invalid, "name a topic");
  if (name.starts_with("arn:")) return name;
  TRY_ASSIGN(const auto account, client.account());
  return fmt::format("arn:aws:sns:{}:{}:{}", client.settings().region, account, name);
}

Result<Json> attributes_of(Sns& sns, const std::string& arn) {
  TRY(sns.call("GetTopicAttributes", {{"TopicArn", arn}}));
  Json out{wire::JsonObject()};
  for (auto entry : sns.result().child("Attributes").children("entry")) {
    out[entry.child_value("key")] = entry.child_value("value");
  }
  return out;
}

void show(const Client& client, const Json& value, const std::string& text) {
  print(client.settings().json ? value.dump() + "\n" : text);
}

Result<int> list(Client& client, const TopicOptions& options) {
  Sns sns(client);
  std::vector<std::string> arns;
  std::string token;
  do {
    TRY(sns.call("ListTopics", token.empty() ? Parameters() : Parameters{{"NextToken", token}}));
    for (auto one : sns.result().child("Topics").children("member")) {
      arns.emplace_back(one.child_value("TopicArn"));
    }
    token = sns.text("NextToken");
  } while (!token.empty());
  std::vector<std::vector<std::string>> rows{{"NAME", "SUBSCRIBED", "PENDING"}};
  wire::JsonArray all;
  for (const auto& arn : arns) {
    auto name = arn.substr(arn.rfind(':') + 1);
    if (!name.starts_with(options.name)) continue;
    TRY_ASSIGN(auto found, attributes_of(sns, arn));
    rows.push_back({std::move(name), std::string(found.string_or("SubscriptionsConfirmed")),
                    std::string(found.string_or("SubscriptionsPending"))});
    all.push_back(std::move(found));
  }
  show(client, Json(std::move(all)), table(rows));
  return 0;
}

Result<int> publish(Client& client, const TopicOptions& options) {
  TRY_ASSIGN(const auto arn, arn_of(client, options.name));
  Parameters in{{"TopicArn", arn}};
  in.emplace_back("Message", options.body == "-"
                                 ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                                 : options.body);
  if (!options.subject.empty()) in.emplace_back("Subject", options.subject);
  if (!options.group.empty()) in.emplace_back("MessageGroupId", options.group);
  if (!options.deduplication.empty()) {
    in.emplace_back("MessageDeduplicationId", options.deduplication);
  }
  int number = 0;
  for (const auto& one : options.attributes) {
    auto equals = one.find('=');
    if (equals == one.npos) return fail(ErrorKind::invalid, fmt::format("'{}' is no K=V", one));
    auto entry = fmt::format("MessageAttributes.entry.{}.", ++number);
    in.emplace_back(entry + "Name", one.substr(0, equals));
    in.emplace_back(entry + "Value.DataType", "String");
    in.emplace_back(entry + "Value.StringValue", one.substr(equals + 1));
  }
  Sns sns(client);
  TRY(sns.call("Publish", in));
  auto id = sns.text("MessageId");
  show(client, Json::object({{"MessageId", id}}), id + "\n");
  return 0;
}

std::string protocol_of(const std::string& endpoint) {
  for (const auto* protocol : {"sqs", "lambda"}) {
    if (endpoint.starts_with(fmt::format("arn:aws:{}:", protocol))) return protocol;
  }
  return endpoint.substr(0, endpoint.find("://"));
}

Result<std::string> subscribe_to(Sns& sns, const std::string& topic, const std::string& endpoint,
                                 const TopicOptions& options) {
  Parameters in{{"TopicArn", topic},
                {"Protocol", protocol_of(endpoint)},
                {"Endpoint", endpoint},
                {"ReturnSubscriptionArn", "true"}};
  int number = 0;
  auto add = [&](const std::string& name, const std::string& value) {
    auto entry = fmt::format("Attributes.entry.{}.", ++number);
    in.emplace_back(entry + "key", name);
    in.emplace_back(entry + "value", value);
  };
  if (options.raw) add("RawMessageDelivery", "true");
  if (!options.filter.empty()) add("FilterPolicy", options.filter);
  TRY(sns.call("Subscribe", in));
  return sns.text("SubscriptionArn");
}

Result<int> subscribe(Client& client, const TopicOptions& options) {
  TRY_ASSIGN(const auto topic, arn_of(client, options.name));
  Sns sns(client);
  TRY_ASSIGN(const auto arn, subscribe_to(sns, topic, options.body, options));
  show(client, Json::object({{"SubscriptionArn", arn}}), arn + "\n");
  return 0;
}

// Its signal handler asks a tail to end, and so to leave nothing behind.
volatile sig_atomic_t interrupted = 0;

// A queue that is subscribed for as long as this lives.
class Tap {
 public:
  Tap(Client& client, Sns& sns) : client_(client), sns_(sns) {}
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;
  ~Tap() {
    if (!subscription_.empty()) {
      (void)sns_.call("Unsubscribe", {{"SubscriptionArn", subscription_}});
    }
    if (!url_.empty()) (void)sqs(client_, "DeleteQueue", Json::object({{"QueueUrl", url_}}));
  }

  Result<> open(const std::string& topic, const TopicOptions& options) {
    Json statement;
    statement["Effect"] = "Allow";
    statement["Principal"]["Service"] = "sns.amazonaws.com";
    statement["Action"] = "sqs:SendMessage";
    statement["Resource"] = "*";
    statement["Condition"]["ArnEquals"]["aws:SourceArn"] = topic;
    Json policy;
    policy["Statement"].push_back(std::move(statement));
    SystemRandom random;
    Json in;
    in["QueueName"] = "mayfly-tail-" + random.hex(6);
    in["Attributes"]["Policy"] = policy.dump();
    TRY_ASSIGN(const auto made, sqs(client_, "CreateQueue", in));
    url_ = made.string_or("QueueUrl");
    Json ask;
    ask["QueueUrl"] = url_;
    ask["AttributeNames"].push_back("QueueArn");
    TRY_ASSIGN(const auto found, sqs(client_, "GetQueueAttributes", ask));
    const auto* arn = found.at({"Attributes", "QueueArn"});
    if (arn == nullptr) return fail(ErrorKind::corrupt, "the queue of the tail has no ARN");
    TRY_ASSIGN(subscription_, subscribe_to(sns_, topic, std::string(arn->string_value()), options));
    return {};
  }

  // The documents that came, perhaps none after a while.
  Result<std::vector<std::string>> take() {
    Json in;
    in["QueueUrl"] = url_;
    in["MaxNumberOfMessages"] = 10;
    in["WaitTimeSeconds"] = wait_seconds;
    TRY_ASSIGN(const auto got, sqs(client_, "ReceiveMessage", in));
    std::vector<std::string> out;
    const auto* messages = got.find("Messages");
    if (messages == nullptr || !messages->is_array()) return out;
    for (const auto& one : *messages->as<wire::JsonArray>()) {
      out.emplace_back(one.string_or("Body"));
      TRY(sqs(
          client_, "DeleteMessage",
          Json::object({{"QueueUrl", url_}, {"ReceiptHandle", one.string_or("ReceiptHandle")}})));
    }
    return out;
  }

 private:
  Client& client_;
  Sns& sns_;
  std::string url_;
  std::string subscription_;
};

Result<int> tail(Client& client, const TopicOptions& options) {
  TRY_ASSIGN(const auto topic, arn_of(client, options.name));
  struct sigaction action{};
  action.sa_handler = [](int) { interrupted = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  Sns sns(client);
  Tap tap(client, sns);
  TRY(tap.open(topic, {.filter = options.filter}));
  int shown = 0;
  while (interrupted == 0 && (options.most == 0 || shown < options.most)) {
    TRY_ASSIGN(const auto documents, tap.take());
    for (const auto& text : documents) {
      ++shown;
      auto json = wire::parse_json(text);
      if (!json) continue;
      auto subject = json->string_or("Subject");
      show(client, *json,
           fmt::format("{} {}{}{}\n", json->string_or("Timestamp"), subject,
                       subject.empty() ? "" : ": ", json->string_or("Message")));
    }
  }
  return 0;
}

}  // namespace

Result<int> topic(Client& client, const TopicOptions& options) {
  if (options.action == "list") return list(client, options);
  if (options.action == "publish") return publish(client, options);
  if (options.action == "subscribe") return subscribe(client, options);
  return tail(client, options);
}

}  // namespace mayfly::cli
