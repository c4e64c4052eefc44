// Rows of the database `schedules`: keys and values, beside schedule.h's and groups.h's.
//
//   born                                    → when the database was made, in milliseconds
//   group/ACCOUNT/REGION/GROUP              → a group; "default" only where it was tagged
//   schedule/ACCOUNT/REGION/GROUP/NAME      → a schedule
//   next/ACCOUNT/REGION/GROUP/NAME          → when it is due next, and for which time
//   due/TIME/ACCOUNT/REGION/GROUP/NAME      → nothing: the same in the order of time
//   run/TIME/ID                             → a run its target has not got yet, to be tried then
//   open/ACCOUNT/REGION/GROUP/NAME          → the run beside which no other is to begin
//   history/ACCOUNT/REGION/GROUP/NAME/SLOT  → one of the last runs, how it ended
//
// TIME is in milliseconds since the epoch, 15 digits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "services/scheduler/schedule.h"

namespace mayfly::services::scheduler {

inline constexpr std::string_view due_prefix = "due/";
inline constexpr std::string_view run_prefix = "run/";

std::string schedule_key(const ScheduleRef& ref);
std::string next_key(const ScheduleRef& ref);
std::string due_key(std::int64_t due_ms, const ScheduleRef& ref);
std::string run_key(std::int64_t try_ms, std::string_view id);
std::string open_key(const ScheduleRef& ref);
std::string history_prefix(const ScheduleRef& ref);
std::string history_key(const ScheduleRef& ref, std::int64_t number);  // of a run; slots go round

struct DueRow {
  std::int64_t due_ms = 0;
  ScheduleRef ref;
};
std::optional<DueRow> parse_due(std::string_view key);
// Of a due/ or run/ key.
std::optional<std::int64_t> time_of(std::string_view key);

struct Next {
  std::optional<std::int64_t> due_ms;  // nullopt: it is not due any more
  std::int64_t at = 0;                 // the time it is due for, in seconds
  std::int64_t runs = 0;               // so far
};
std::string encode(const Next& next);
Next decode_next(std::string_view bytes);

// A run that is under way.
struct Run {
  std::string id;  // the execution's
  ScheduleRef ref;
  std::string schedule_id;
  std::int64_t at = 0;             // the time it is for, in seconds
  std::int64_t due_ms = 0;         // its age counts from here
  std::int64_t try_ms = 0;         // of its row's key
  std::int64_t attempt = 1;        // that is to be made
  std::int64_t number = 0;         // of the schedule's runs
  bool last = false;               // the schedule is complete with it
  bool alone = false;              // it has an open/ row, and its function is waited for
  bool waited = false;             // since its last attempt, at an open circuit breaker
  std::optional<Target> target{};  // as it was when the run began; nullopt: the schedule's
};
std::string encode(const Run& run);
Result<Run> decode_run(std::string_view key, std::string_view bytes);

}  // namespace mayfly::services::scheduler
