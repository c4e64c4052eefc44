#include <chrono>

#include "base/clock.h"
#include "mayfly/cli_verbs.h"
#include "mayfly/zones.h"
#include "wire/cron.h"

namespace mayfly::cli {
namespace {

using wire::Json;

Request scheduler(std::string method, std::string path) {
  return {.service = "scheduler", .method = std::move(method), .path = std::move(path)};
}

std::string schedule_path(const ScheduleOptions& options) {
  return "/schedules/" + wire::percent_encode(options.name);
}

void show(const Client& client, const Json& value, const std::string& text) {
  print(client.settings().json ? value.dump() + "\n" : text);
}

std::string time_text(std::int64_t seconds) { return wire::format_iso8601(seconds * 1000); }

// "2030-01-01T09:00:00+01:00"
std::string local_text(std::int64_t at, const wire::TimeZone& zone) {
  std::int32_t offset = zone.offset_at(at);
  std::string text = time_text(at + offset);
  text.pop_back();
  std::int32_t minutes = std::abs(offset) / 60;
  return fmt::format("{}{}{:02}:{:02}", text, offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

Result<std::string> arn_of(Client& client, const ScheduleOptions& options) {
  TRY_ASSIGN(const auto account, client.account());
  return fmt::format("arn:aws:scheduler:{}:{}:schedule/{}/{}", client.settings().region, account,
                     options.group.empty() ? "default" : options.group, options.name);
}

Result<Json> runs_of(Client& client, std::string arn) {
  Request request{.path = "/_mayfly/schedule-runs", .query = {{"arn", std::move(arn)}}};
  return client.json(std::move(request));
}

// Needs no server.
Result<int> next(const Client& client, const ScheduleOptions& options) {
  auto expression = wire::ScheduleExpression::parse(options.name);
  if (!expression) {
    return fail(ErrorKind::invalid,
                fmt::format("{}: {}", options.name, expression.error().message));
  }
  ZoneFiles zones;
  TRY_ASSIGN(const auto zone, zones.find(options.zone));
  std::int64_t at =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().wall().time_since_epoch())
          .count();
  if (!options.from.empty()) {
    TRY_ASSIGN(const auto from, wire::parse_iso8601(options.from));
    at = from / 1000;
  }
  const std::int64_t first = at;  // what a rate counts from
  wire::JsonArray times;
  std::string text;
  for (int i = 0; i < options.count; ++i) {
    auto found = expression->next(at, *zone, first);
    if (!found) break;
    at = *found;
    times.push_back(Json::object({{"local", local_text(at, *zone)}, {"utc", time_text(at)}}));
    text += fmt::format("{}  {}\n", local_text(at, *zone), time_text(at));
  }
  if (times.empty()) text = "never\n";
  show(client, Json(std::move(times)), text);
  return 0;
}

Result<int> list(Client& client, const ScheduleOptions& options) {
  std::vector<std::vector<std::string>> rows{{"NAME", "GROUP", "STATE", "NEXT", "TARGET"}};
  wire::JsonArray all;
  auto request = scheduler("GET", "/schedules");
  if (!options.group.empty()) request.query.emplace_back("ScheduleGroup", options.group);
  if (!options.name.empty()) request.query.emplace_back("NamePrefix", options.name);
  const auto query = request.query;
  while (true) {
    TRY_ASSIGN(const auto page, client.json(request));
    const auto* found = page.find("Schedules");
    if (found == nullptr || !found->is_array()) break;
    for (auto one : *found->as<wire::JsonArray>()) {
      TRY_ASSIGN(const auto runs, runs_of(client, std::string(one.string_or("Arn"))));
      const auto due = runs.int_or("due", -1);
      if (due >= 0) one["NextRun"] = time_text(due / 1000);
      const auto* target = one.find("Target");
      rows.push_back({std::string(one.string_or("Name")), std::string(one.string_or("GroupName")),
                      std::string(one.string_or("State")),
                      std::string(one.string_or("NextRun", "-")),
                      target == nullptr ? "" : std::string(target->string_or("Arn"))});
      all.push_back(std::move(one));
    }
    auto token = page.string_or("NextToken");
    if (token.empty()) break;
    request.query = query;
    request.query.emplace_back("NextToken", token);
  }
  show(client, Json(std::move(all)), table(rows));
  return 0;
}

Result<int> create(Client& client, const ScheduleOptions& options) {
  if (options.expression.empty() || options.target.empty()) {
    return fail(ErrorKind::invalid,
                "give an expression and a target: mayfly schedule create NAME 'rate(5 minutes)' "
                "--target FUNCTION");
  }
  TRY_ASSIGN(const auto account, client.account());
  Json target = Json::object({{"Arn", options.target}, {"RoleArn", options.role}});
  if (!options.target.starts_with("arn:")) {
    target["Arn"] = fmt::format("arn:aws:lambda:{}:{}:function:{}", client.settings().region,
                                account, options.target);
  }
  if (options.role.empty())
    target["RoleArn"] = fmt::format("arn:aws:iam::{}:role/mayfly-schedule", account);
  if (!options.input.empty()) target["Input"] = options.input;
  Json input = Json::object({{"ScheduleExpression", options.expression},
                             {"ScheduleExpressionTimezone", options.zone},
                             {"FlexibleTimeWindow", Json::object({{"Mode", "OFF"}})},
                             {"Target", std::move(target)}});
  if (!options.group.empty()) input["GroupName"] = options.group;
  if (options.delete_after) input["ActionAfterCompletion"] = "DELETE";
  TRY_ASSIGN(const auto made, client.json(scheduler("POST", schedule_path(options)), &input));
  show(client, made, fmt::format("{}\n", made.string_or("ScheduleArn")));
  return 0;
}

Result<int> remove(Client& client, const ScheduleOptions& options) {
  auto request = scheduler("DELETE", schedule_path(options));
  if (!options.group.empty()) request.query.emplace_back("groupName", options.group);
  TRY(client.call(request));
  show(client, Json(wire::JsonObject()), "");
  return 0;
}

Result<int> runs(Client& client, const ScheduleOptions& options) {
  TRY_ASSIGN(auto arn, arn_of(client, options));
  TRY_ASSIGN(const auto found, runs_of(client, std::move(arn)));
  std::vector<std::vector<std::string>> rows{{"SCHEDULED", "OUTCOME", "ATTEMPTS", "ERROR"}};
  if (const auto* each = found.find("runs"); each != nullptr && each->is_array()) {
    for (const auto& run : *each->as<wire::JsonArray>()) {
      std::string error(run.string_or("code"));
      if (!error.empty()) error += fmt::format(": {}", run.string_or("message"));
      rows.push_back({time_text(run.int_or("scheduled", 0)), std::string(run.string_or("outcome")),
                      fmt::format("{}", run.int_or("attempts", 0)), std::move(error)});
    }
  }
  std::string text = table(rows);
  const auto due = found.int_or("due", -1);
  text += due < 0 ? "next: never\n" : fmt::format("next: {}\n", time_text(due / 1000));
  show(client, found, text);
  return 0;
}

}  // namespace

Result<int> schedule(Client& client, const ScheduleOptions& options) {
  if (options.action == "list") return list(client, options);
  if (options.name.empty()) {
    return fail(ErrorKind::invalid, options.action == "next" ? "give an expression, for example "
                                                               "'cron(0 9 ? * MON-FRI *)'"
                                                             : "name a schedule");
  }
  if (options.action == "next") return next(client, options);
  if (options.action == "create") return create(client, options);
  if (options.action == "delete") return remove(client, options);
  return runs(client, options);
}

}  // namespace mayfly::cli
