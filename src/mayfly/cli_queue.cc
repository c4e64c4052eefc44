#include <iostream>
#include <iterator>
#include <thread>

#include "mayfly/cli_verbs.h"

namespace mayfly::cli {
namespace {

using wire::Json;

constexpr auto follow_pause = std::chrono::milliseconds(200);
constexpr int wait_seconds = 20;
constexpr int peek_seconds = 30;  // how long what is looked at is held; put back at once after it

Result<Json> sqs(Client& client, const std::string& operation, const Json& input) {
  Request request{.service = "sqs", .method = "POST", .path = "/"};
  request.headers = {{"X-Amz-Target", "AmazonSQS." + operation},
                     {"Content-Type", "application/x-amz-json-1.0"}};
  return client.json(std::move(request), &input);
}

Result<std::string> url_of(Client& client, const std::string& name) {
  if (name.empty()) return fail(ErrorKind::invalid, "name a queue");
  if (name.find("://") != name.npos) return name;
  TRY_ASSIGN(const auto found, sqs(client, "GetQueueUrl", Json::object({{"QueueName", name}})));
  return std::string(found.string_or("QueueUrl"));
}

Result<Json> attributes_of(Client& client, const std::string& url) {
  Json input;
  input["QueueUrl"] = url;
  input["AttributeNames"] = Json::array({"All"});
  TRY_ASSIGN(auto found, sqs(client, "GetQueueAttributes", input));
  return std::move(found["Attributes"]);
}

void show(const Client& client, const Json& value, const std::string& text) {
  print(client.settings().json ? value.dump() + "\n" : text);
}

Result<int> list(Client& client, const QueueOptions& options) {
  std::vector<std::vector<std::string>> rows{{"NAME", "VISIBLE", "IN FLIGHT", "DELAYED"}};
  wire::JsonArray all;
  Json input{wire::JsonObject()};
  input["MaxResults"] = 1000;
  if (!options.name.empty()) input["QueueNamePrefix"] = options.name;
  while (true) {
    TRY_ASSIGN(auto page, sqs(client, "ListQueues", input));
    if (const auto* urls = page.find("QueueUrls"); urls != nullptr && urls->is_array()) {
      for (const auto& url : *urls->as<wire::JsonArray>()) {
        std::string text(url.string_value());
        TRY_ASSIGN(auto found, attributes_of(client, text));
        auto number = [&](std::string_view name) { return std::string(found.string_or(name)); };
        rows.push_back({text.substr(text.rfind('/') + 1), number("ApproximateNumberOfMessages"),
                        number("ApproximateNumberOfMessagesNotVisible"),
                        number("ApproximateNumberOfMessagesDelayed")});
        found["QueueUrl"] = text;
        all.push_back(std::move(found));
      }
    }
    auto next = page.string_or("NextToken");
    if (next.empty()) break;
    input["NextToken"] = std::string(next);
  }
  show(client, Json(std::move(all)), table(rows));
  return 0;
}

Result<int> send(Client& client, const QueueOptions& options) {
  TRY_ASSIGN(const auto url, url_of(client, options.name));
  Json input;
  input["QueueUrl"] = url;
  input["MessageBody"] = options.body == "-"
                             ? std::string(std::istreambuf_iterator<char>(std::cin), {})
                             : options.body;
  if (!options.group.empty()) input["MessageGroupId"] = options.group;
  if (!options.deduplication.empty()) input["MessageDeduplicationId"] = options.deduplication;
  if (options.delay_seconds >= 0) input["DelaySeconds"] = options.delay_seconds;
  TRY_ASSIGN(const auto sent, sqs(client, "SendMessage", input));
  show(client, sent, fmt::format("{}\n", sent.string_or("MessageId")));
  return 0;
}

// Looks at messages by receiving them and giving them back. That counts as a receive: a queue with
// a dead-letter queue could lose them to it.
Result<int> peek(Client& client, const QueueOptions& options) {
  TRY_ASSIGN(const auto url, url_of(client, options.name));
  TRY_ASSIGN(const auto attributes, attributes_of(client, url));
  if (!options.force && attributes.find("RedrivePolicy") != nullptr) {
    return fail(ErrorKind::invalid,
                fmt::format("{} has a dead-letter queue, and a look counts as a receive: --force",
                            options.name));
  }
  wire::JsonArray held;
  std::string text;
  wire::JsonArray shown;
  const int most = options.most > 0 ? options.most : 10;
  while (static_cast<int>(shown.size()) < most) {
    Json input;
    input["QueueUrl"] = url;
    input["MaxNumberOfMessages"] = std::min(10, most - static_cast<int>(shown.size()));
    input["VisibilityTimeout"] = peek_seconds;
    input["MessageSystemAttributeNames"] = Json::array({"All"});
    input["MessageAttributeNames"] = Json::array({"All"});
    TRY_ASSIGN(const auto got, sqs(client, "ReceiveMessage", input));
    const auto* messages = got.find("Messages");
    if (messages == nullptr || !messages->is_array()) break;
    for (const auto& one : *messages->as<wire::JsonArray>()) {
      held.push_back(Json::object({{"Id", std::to_string(held.size() % 10)},
                                   {"ReceiptHandle", one.string_or("ReceiptHandle")},
                                   {"VisibilityTimeout", 0}}));
      text += fmt::format("{} {}\n", one.string_or("MessageId"), one.string_or("Body"));
      shown.push_back(one);
    }
  }
  for (std::size_t i = 0; i < held.size(); i += 10) {
    auto end = held.begin() + static_cast<std::ptrdiff_t>(std::min(held.size(), i + 10));
    Json input;
    input["QueueUrl"] = url;
    input["Entries"] = wire::JsonArray(held.begin() + static_cast<std::ptrdiff_t>(i), end);
    TRY(sqs(client, "ChangeMessageVisibilityBatch", input));
  }
  show(client, Json(std::move(shown)), text);
  return 0;
}

// Messages as they come, each held for its queue's visibility, until it is told to stop or has
// shown as many as asked for. With --delete they are taken away.
Result<int> tail(Client& client, const QueueOptions& options) {
  TRY_ASSIGN(const auto url, url_of(client, options.name));
  TRY_ASSIGN(const auto attributes, attributes_of(client, url));
  if (!options.remove && !options.force && attributes.find("RedrivePolicy") != nullptr) {
    return fail(ErrorKind::invalid,
                fmt::format("{} has a dead-letter queue, and what is shown counts as received: "
                            "--force, or --delete to take it away",
                            options.name));
  }
  for (int shown = 0; options.most <= 0 || shown < options.most;) {
    Json input;
    input["QueueUrl"] = url;
    input["MaxNumberOfMessages"] = options.most <= 0 ? 10 : std::min(10, options.most - shown);
    input["WaitTimeSeconds"] = wait_seconds;
    input["MessageSystemAttributeNames"] = Json::array({"All"});
    input["MessageAttributeNames"] = Json::array({"All"});
    TRY_ASSIGN(const auto got, sqs(client, "ReceiveMessage", input));
    const auto* messages = got.find("Messages");
    if (messages == nullptr || !messages->is_array()) continue;
    wire::JsonArray done;
    for (const auto& one : *messages->as<wire::JsonArray>()) {
      auto line = fmt::format("{} {}\n", one.string_or("MessageId"), one.string_or("Body"));
      show(client, one, line);
      ++shown;
      done.push_back(Json::object({{"Id", std::to_string(done.size())},
                                   {"ReceiptHandle", one.string_or("ReceiptHandle")}}));
    }
    if (!options.remove || done.empty()) continue;
    Json gone;
    gone["QueueUrl"] = url;
    gone["Entries"] = std::move(done);
    TRY(sqs(client, "DeleteMessageBatch", gone));
  }
  return 0;
}

Result<int> redrive(Client& client, const QueueOptions& options) {
  TRY_ASSIGN(const auto url, url_of(client, options.name));
  TRY_ASSIGN(const auto attributes, attributes_of(client, url));
  std::string arn(attributes.string_or("QueueArn"));
  Json input;
  input["SourceArn"] = arn;
  if (!options.to.empty()) {
    TRY_ASSIGN(const auto to, url_of(client, options.to));
    TRY_ASSIGN(const auto of_target, attributes_of(client, to));
    input["DestinationArn"] = std::string(of_target.string_or("QueueArn"));
  }
  if (options.rate > 0) input["MaxNumberOfMessagesPerSecond"] = options.rate;
  TRY(sqs(client, "StartMessageMoveTask", input));
  while (true) {
    TRY_ASSIGN(const auto tasks,
               sqs(client, "ListMessageMoveTasks", Json::object({{"SourceArn", arn}})));
    const auto* results = tasks.find("Results");
    if (results == nullptr || !results->is_array() || results->as<wire::JsonArray>()->empty()) {
      return fail(ErrorKind::not_found, "the move is gone");
    }
    const auto& task = results->as<wire::JsonArray>()->front();
    auto status = task.string_or("Status");
    if (status != "RUNNING" && status != "CANCELLING") {
      show(client, task,
           fmt::format("{}: {} moved\n", status,
                       task.int_or("ApproximateNumberOfMessagesMoved", 0)));
      return status == "COMPLETED" ? 0 : 1;
    }
    std::this_thread::sleep_for(follow_pause);
  }
}

}  // namespace

Result<int> queue(Client& client, const QueueOptions& options) {
  if (options.action == "list") return list(client, options);
  if (options.action == "send") return send(client, options);
  if (options.action == "peek") return peek(client, options);
  if (options.action == "tail") return tail(client, options);
  return redrive(client, options);
}

}  // namespace mayfly::cli
