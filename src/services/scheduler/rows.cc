#include "services/scheduler/rows.h"

#include "wire/text.h"

namespace mayfly::services::scheduler {

using wire::Json;

std::string schedule_key(const ScheduleRef& ref) { return "schedule/" + ref.path(); }
std::string next_key(const ScheduleRef& ref) { return "next/" + ref.path(); }

std::string due_key(std::int64_t due_ms, const ScheduleRef& ref) {
  return fmt::format("{}{:015}/{}", due_prefix, std::max<std::int64_t>(due_ms, 0), ref.path());
}

std::string run_key(std::int64_t try_ms, std::string_view id) {
  return fmt::format("{}{:015}/{}", run_prefix, std::max<std::int64_t>(try_ms, 0), id);
}

std::string open_key(const ScheduleRef& ref) { return "open/" + ref.path(); }

std::string history_prefix(const ScheduleRef& ref) {
  return fmt::format("history/{}/", ref.path());
}

std::string history_key(const ScheduleRef& ref, std::int64_t number) {
  auto slots = static_cast<std::int64_t>(limits::schedule_history);
  return fmt::format("{}{:02}", history_prefix(ref), number % slots);
}

std::optional<std::int64_t> time_of(std::string_view key) {
  auto slash = key.find('/');
  if (slash == key.npos) return std::nullopt;
  auto number = wire::parse_int(key.substr(slash + 1, 15));
  if (!number) return std::nullopt;
  return *number;
}

std::optional<DueRow> parse_due(std::string_view key) {
  auto due = time_of(key);
  constexpr std::size_t head = due_prefix.size() + 16;
  if (!due || key.size() < head) return std::nullopt;
  auto ref = parse_path(key.substr(head));
  if (!ref) return std::nullopt;
  return DueRow{*due, *std::move(ref)};
}

std::string encode(const Next& next) {
  return fmt::format("{} {} {}", next.due_ms.value_or(-1), next.at, next.runs);
}

Next decode_next(std::string_view bytes) {
  auto parts = wire::split(bytes, ' ');
  auto number = [&](std::size_t index) {
    auto value = index < parts.size() ? wire::parse_int(parts[index]) : Result<std::int64_t>(0);
    return value.value_or(0);
  };
  Next out{.due_ms = number(0), .at = number(1), .runs = number(2)};
  if (*out.due_ms < 0) out.due_ms.reset();
  return out;
}

std::string encode(const Run& run) {
  Json out = Json::object({{"schedule", run.ref.path()},
                           {"of", run.schedule_id},
                           {"at", run.at},
                           {"due", run.due_ms},
                           {"attempt", run.attempt},
                           {"number", run.number}});
  if (run.last) out["last"] = true;
  if (run.alone) out["alone"] = true;
  if (run.waited) out["waited"] = true;
  if (run.target) out["target"] = target_json(*run.target);
  return out.dump();
}

Result<Run> decode_run(std::string_view key, std::string_view bytes) {
  TRY_ASSIGN(auto json, wire::parse_json(bytes));
  Run out;
  auto ref = parse_path(json.string_or("schedule"));
  auto time = time_of(key);
  if (!ref || !time) {
    return fail(ErrorKind::corrupt, fmt::format("the row {} of a run is damaged", key));
  }
  out.ref = *std::move(ref);
  out.try_ms = *time;
  out.id = key.substr(key.rfind('/') + 1);
  out.schedule_id = json.string_or("of");
  out.at = json.int_or("at", 0);
  out.due_ms = json.int_or("due", 0);
  out.attempt = json.int_or("attempt", 1);
  out.number = json.int_or("number", 0);
  out.last = json.bool_or("last", false);
  out.alone = json.bool_or("alone", false);
  out.waited = json.bool_or("waited", false);
  if (const auto* target = json.find("target")) out.target = target_of(*target);
  return out;
}

}  // namespace mayfly::services::scheduler
