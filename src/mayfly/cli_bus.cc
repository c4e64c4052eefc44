#include <csignal>
#include <iostream>
#include <iterator>
#include <thread>

#include "base/clock.h"
#include "base/random.h"
#include "mayfly/cli_verbs.h"
#include "wire/event_pattern.h"

namespace mayfly::cli {
namespace {

using wire::Json;
using wire::JsonArray;

constexpr int wait_seconds = 2;  // for events, before a signal is looked at
constexpr auto follow_pause = std::chrono::milliseconds(200);

volatile std::sig_atomic_t interrupted = 0;

Result<Json> events(Client& client, const std::string& operation, const Json& input) {
  Request request{.service = "events", .method = "POST", .path = "/"};
  request.headers = {{"X-Amz-Target", "AWSEvents." + operation},
                     {"Content-Type", "application/x-amz-json-1.1"}};
  return client.json(std::move(request), &input);
}

Result<Json> sqs(Client& client, const std::string& operation, const Json& input) {
  Request request{.service = "sqs", .method = "POST", .path = "/"};
  request.headers = {{"X-Amz-Target", "AmazonSQS." + operation},
                     {"Content-Type", "application/x-amz-json-1.0"}};
  return client.json(std::move(request), &input);
}

void show(const Client& client, const Json& value, const std::string& text) {
  print(client.settings().json ? value.dump() + "\n" : text);
}

std::string text_of(const std::string& what) {
  return what == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : what;
}

const JsonArray& items(const Json& json, std::string_view member) {
  static const JsonArray none;
  const auto* found = json.find(member);
  return found != nullptr && found->is_array() ? *found->as<JsonArray>() : none;
}

// Every page of a list.
Result<JsonArray> all(Client& client, const std::string& operation, Json input,
                      std::string_view member) {
  JsonArray out;
  while (true) {
    TRY_ASSIGN(const auto page, events(client, operation, input));
    for (const auto& one : items(page, member)) out.push_back(one);
    auto next = page.string_or("NextToken");
    if (next.empty()) return out;
    input["NextToken"] = std::string(next);
  }
}

Result<JsonArray> rules_of(Client& client, const std::string& bus) {
  return all(client, "ListRules", Json::object({{"EventBusName", bus}}), "Rules");
}

Result<int> list_buses(Client& client) {
  TRY_ASSIGN(auto buses, all(client, "ListEventBuses", Json(wire::JsonObject()), "EventBuses"));
  std::vector<std::vector<std::string>> rows{{"NAME", "RULES", "DESCRIPTION"}};
  for (auto& bus : buses) {
    TRY_ASSIGN(const auto rules, rules_of(client, std::string(bus.string_or("Name"))));
    rows.push_back({std::string(bus.string_or("Name")), std::to_string(rules.size()),
                    std::string(bus.string_or("Description"))});
    bus["Rules"] = rules.size();
  }
  show(client, Json(std::move(buses)), table(rows));
  return 0;
}

Result<int> list_rules(Client& client, const std::string& bus) {
  TRY_ASSIGN(auto rules, rules_of(client, bus));
  std::vector<std::vector<std::string>> rows{{"RULE", "STATE", "TARGETS", "WHEN"}};
  for (auto& rule : rules) {
    std::string name(rule.string_or("Name"));
    TRY_ASSIGN(auto targets, all(client, "ListTargetsByRule",
                                 Json::object({{"Rule", name}, {"EventBusName", bus}}), "Targets"));
    rows.push_back(
        {name, std::string(rule.string_or("State")), std::to_string(targets.size()),
         std::string(rule.string_or("ScheduleExpression", rule.string_or("EventPattern")))});
    rule["Targets"] = std::move(targets);
  }
  show(client, Json(std::move(rules)), table(rows));
  return 0;
}

Result<int> send(Client& client, const BusOptions& options) {
  Json entry;
  entry["Source"] = options.source;
  entry["DetailType"] = options.detail_type;
  entry["Detail"] = options.what.empty() ? "{}" : text_of(options.what);
  entry["EventBusName"] = options.bus;
  TRY_ASSIGN(const auto sent,
             events(client, "PutEvents", Json::object({{"Entries", Json::array({entry})}})));
  if (items(sent, "Entries").empty()) return fail(ErrorKind::internal, "no answer for the event");
  const auto& result = items(sent, "Entries").front();
  if (auto code = result.string_or("ErrorCode"); !code.empty()) {
    return fail(ErrorKind::invalid, std::string(result.string_or("ErrorMessage")),
                std::string(code));
  }
  show(client, result, fmt::format("{}\n", result.string_or("EventId")));
  return 0;
}

// A whole event, or the detail of one.
Result<Json> event_of(Client& client, const BusOptions& options) {
  TRY_ASSIGN(auto given, wire::parse_json(options.what.empty() ? "{}" : text_of(options.what)));
  if (given.find("detail-type") != nullptr && given.find("source") != nullptr) return given;
  TRY_ASSIGN(const auto account, client.account());
  Json out;
  out["version"] = "0";
  out["id"] = "00000000-0000-0000-0000-000000000000";
  out["detail-type"] = options.detail_type;
  out["source"] = options.source;
  out["account"] = account;
  out["time"] = wire::format_iso8601(epoch_millis(SystemClock().wall()), wire::Fraction::none);
  out["region"] = client.settings().region;
  out["resources"] = Json(JsonArray());
  out["detail"] = std::move(given);
  return out;
}

// Nothing is sent. Status 1: no rule would match.
Result<int> test(Client& client, const BusOptions& options) {
  TRY_ASSIGN(const auto event, event_of(client, options));
  TRY_ASSIGN(const auto rules, rules_of(client, options.bus));
  JsonArray matching;
  std::string text;
  for (const auto& rule : rules) {
    auto pattern = wire::EventPattern::parse(rule.string_or("EventPattern"));
    if (!pattern || !pattern->matches(event)) continue;
    text += fmt::format("{} {}\n", rule.string_or("State"), rule.string_or("Name"));
    matching.push_back(rule);
  }
  int status = matching.empty() ? 1 : 0;
  show(client, Json(std::move(matching)), text.empty() ? "no rule\n" : text);
  return status;
}

struct Tail {
  std::string url;
  std::string rule;
};

// A queue of its own, and a rule that fills it.
Result<Tail> open_tail(Client& client, const BusOptions& options) {
  SystemRandom random;
  std::string name = "mayfly-tail-" + random.hex(6);
  TRY_ASSIGN(const auto account, client.account());
  std::string arn = fmt::format("arn:aws:sqs:{}:{}:{}", client.settings().region, account, name);
  Json statement;
  statement["Effect"] = "Allow";
  statement["Principal"]["Service"] = "events.amazonaws.com";
  statement["Action"] = "sqs:SendMessage";
  statement["Resource"] = arn;
  Json policy;
  policy["Version"] = "2012-10-17";
  policy["Statement"] = Json::array({statement});
  Json create;
  create["QueueName"] = name;
  create["Attributes"]["Policy"] = policy.dump();
  create["Attributes"]["MessageRetentionPeriod"] = "60";
  TRY_ASSIGN(const auto queue, sqs(client, "CreateQueue", create));
  Json rule;
  rule["Name"] = name;
  rule["EventBusName"] = options.bus;
  rule["EventPattern"] =
      options.pattern.empty() ? R"({"version":[{"exists":true}]})" : options.pattern;
  TRY(events(client, "PutRule", rule));
  Json targets;
  targets["Rule"] = name;
  targets["EventBusName"] = options.bus;
  targets["Targets"] = Json::array({Json::object({{"Id", "tail"}, {"Arn", arn}})});
  TRY(events(client, "PutTargets", targets));
  return Tail{std::string(queue.string_or("QueueUrl")), name};
}

void close_tail(Client& client, const BusOptions& options, const Tail& tail) {
  Json input = Json::object({{"Rule", tail.rule}, {"EventBusName", options.bus}});
  input["Ids"] = Json::array({"tail"});
  (void)events(client, "RemoveTargets", input);
  (void)events(client, "DeleteRule",
               Json::object({{"Name", tail.rule}, {"EventBusName", options.bus}}));
  (void)sqs(client, "DeleteQueue", Json::object({{"QueueUrl", tail.url}}));
}

Result<int> follow(Client& client, const BusOptions& options, const Tail& tail) {
  int shown = 0;
  while (interrupted == 0 && (options.count == 0 || shown < options.count)) {
    Json ask;
    ask["QueueUrl"] = tail.url;
    ask["MaxNumberOfMessages"] = options.count == 0 ? 10 : std::min(10, options.count - shown);
    ask["WaitTimeSeconds"] = wait_seconds;
    TRY_ASSIGN(const auto got, sqs(client, "ReceiveMessage", ask));
    for (const auto& message : items(got, "Messages")) {
      print(fmt::format("{}\n", message.string_or("Body")));
      ++shown;
      TRY(sqs(client, "DeleteMessage",
              Json::object({{"QueueUrl", tail.url},
                            {"ReceiptHandle", message.string_or("ReceiptHandle")}})));
    }
  }
  return 0;
}

Result<int> tail(Client& client, const BusOptions& options) {
  TRY_ASSIGN(const auto opened, open_tail(client, options));
  print_error("following; end with ctrl-c\n");
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  auto status = follow(client, options, opened);
  close_tail(client, options, opened);
  return status;
}

Result<int> replay(Client& client, const BusOptions& options) {
  if (options.what.empty()) return fail(ErrorKind::invalid, "name an archive");
  TRY_ASSIGN(const auto archive,
             events(client, "DescribeArchive", Json::object({{"ArchiveName", options.what}})));
  TRY_ASSIGN(const auto span_ms, parse_span(options.since));
  std::string bus(archive.string_or("EventSourceArn"));
  SystemRandom random;
  std::string name = fmt::format("{}-{}", options.what, random.hex(4));
  double now = static_cast<double>(epoch_millis(SystemClock().wall())) / 1000;
  Json start;
  start["ReplayName"] = name;
  start["EventSourceArn"] = std::string(archive.string_or("ArchiveArn"));
  start["EventStartTime"] = now - static_cast<double>(span_ms) / 1000;
  // Whatever the time is that the server goes by.
  constexpr double ten_years = 3650.0 * 86400;
  start["EventEndTime"] = now + ten_years;
  start["Destination"]["Arn"] = bus;
  for (const auto& rule : options.rules) {
    std::string prefix = bus.substr(0, bus.find(":event-bus/"));
    std::string_view bus_name = std::string_view(bus).substr(bus.find('/') + 1);
    start["Destination"]["FilterArns"].push_back(
        bus_name == "default" ? fmt::format("{}:rule/{}", prefix, rule)
                              : fmt::format("{}:rule/{}/{}", prefix, bus_name, rule));
  }
  TRY(events(client, "StartReplay", start));
  while (true) {
    TRY_ASSIGN(const auto found,
               events(client, "DescribeReplay", Json::object({{"ReplayName", name}})));
    auto state = found.string_or("State");
    if (state == "COMPLETED" || state == "FAILED" || state == "CANCELLED") {
      show(client, found, fmt::format("{} {}\n", name, state));
      return state == "COMPLETED" ? 0 : 1;
    }
    std::this_thread::sleep_for(follow_pause);
  }
}

}  // namespace

Result<int> bus(Client& client, const BusOptions& options) {
  if (options.action == "list") {
    return options.what.empty() ? list_buses(client) : list_rules(client, options.what);
  }
  if (options.action == "send") return send(client, options);
  if (options.action == "test") return test(client, options);
  if (options.action == "tail") return tail(client, options);
  return replay(client, options);
}

}  // namespace mayfly::cli
