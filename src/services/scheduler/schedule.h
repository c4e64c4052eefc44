// Schedule: what a schedule is, as it lies in the store; and its times.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"
#include "services/scheduler/names.h"
#include "wire/cron.h"
#include "wire/json.h"

namespace mayfly::services::scheduler {

struct Target {
  std::string arn;
  std::string role_arn;
  std::optional<std::string> input;
  std::string dead_letter_arn;  // or empty
  std::int64_t max_age_seconds = std::chrono::seconds(limits::schedule_event_age_default).count();
  std::int64_t max_retries = limits::schedule_retries_default;
  std::string message_group;  // of queues with order
  std::string detail_type;    // of event buses
  std::string source;
  bool operator==(const Target&) const = default;
};

struct Schedule {
  std::string id;  // of this life of the name
  std::string expression;
  std::string zone = "UTC";
  std::optional<std::string> description;
  std::optional<std::int64_t> start_ms;
  std::optional<std::int64_t> end_ms;
  std::int64_t window_minutes = 0;  // 0: no flexible time window
  bool enabled = true;
  bool delete_after_completion = false;
  std::string kms_key_arn;
  Target target;
  std::int64_t created_ms = 0;
  std::int64_t modified_ms = 0;
  std::int64_t first_s = 0;  // what a rate counts from
  std::string token;         // the ClientToken that made it …
  std::string digest;        // … and of what was asked for with it
};

std::string encode(const Schedule& schedule);
Result<Schedule> decode_schedule(std::string_view bytes);
wire::Json target_json(const Target& target);
Target target_of(const wire::Json& json);
// Of what a client asked for: times of change and identity left out.
std::string digest_of(const Schedule& schedule);

// By the name that the IANA gave it. Kind not_found.
using Zones = std::function<Result<std::shared_ptr<const wire::TimeZone>>(std::string_view name)>;

// When a schedule runs. Seconds since the epoch.
class Times {
 public:
  static Result<Times> of(const Schedule& schedule, const Zones& zones);
  // The first time after `after` that lies between the schedule's dates, which one-time schedules
  // have none of.
  std::optional<std::int64_t> next(std::int64_t after) const;
  // The last one up to `until`, of those after `after`.
  std::optional<std::int64_t> last(std::int64_t after, std::int64_t until) const;
  // The first that a schedule has that is made (or enabled, or changed) now.
  std::optional<std::int64_t> first(std::int64_t now) const;

 private:
  Times(wire::ScheduleExpression expression, std::shared_ptr<const wire::TimeZone> zone)
      : expression_(std::move(expression)), zone_(std::move(zone)) {}

  wire::ScheduleExpression expression_;
  std::shared_ptr<const wire::TimeZone> zone_;
  std::int64_t first_ = 0;
  std::optional<std::int64_t> start_;
  std::optional<std::int64_t> end_;
};

// What becomes of runs that fell due more than limits::schedule_late ago, as the server was down
// (or its platform time was moved on).
enum class Missed {
  all,   // each one is run, unless it is older than its target's maximum event age
  once,  // only the last one is run, likewise
  skip,  // none is run
};
inline constexpr std::string_view missed_tag = "mayfly:missed-runs";
std::optional<Missed> parse_missed(std::string_view text);

// What becomes of a time that comes while a run of its schedule is under way.
enum class Overlap {
  allow,  // it is run beside it; a run has ended when its target has it
  skip,   // it is not run; functions are waited for
};
inline constexpr std::string_view overlap_tag = "mayfly:overlap";
std::optional<Overlap> parse_overlap(std::string_view text);

// What is to be done about a time that has come.
struct Turn {
  std::optional<std::int64_t> run;     // the time to run for
  std::optional<std::int64_t> missed;  // a time (the first, perhaps) that is not run for
  std::optional<std::int64_t> next;    // the time after; nullopt: the schedule is complete
};
// `at` is due since `due_ms`, which is a flexible window's part later.
Turn take_turn(const Times& times, std::int64_t at, std::int64_t due_ms, std::int64_t now_ms,
               std::int64_t max_age_seconds, Missed missed);

}  // namespace mayfly::services::scheduler
