// ScheduleExpression: the times of EventBridge's schedules (EventBridge Scheduler user guide,
// "Schedule types"; EventBridge user guide, "Setting a schedule pattern").
//
//   at(2030-01-31T09:30:00)                    once
//   rate(5 minutes)                            value, then minute(s), hour(s) or day(s) of 24 hours
//   cron(15 10 ? * MON-FRI *)                  minutes hours day-of-month month day-of-week year
//
// Fields are * or lists of values, ranges and steps: 1,15  MON-FRI  0/15  */5  10-40/10; a range
// may run over the end of its field (22-2). Either day-of-month or day-of-week is ?. Day-of-month
// also takes L (the month's last day), L-3 (three days before it), 15W (the weekday closest to the
// 15th, in that month) and LW (its last weekday); day-of-week L (Saturday), 6L (the month's last
// Friday) and, alone, 6#2 (its second Friday).
//
// Beyond the cloud, which refuses both: rate(10 seconds), and a cron of seven fields, of which the
// first are the seconds: cron(0/10 * * * * ? *).
//
// Times are whole seconds since the epoch. Pure; safe from any thread.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wire/time_zone.h"

namespace mayfly::wire {

class ScheduleExpression {
 public:
  enum class Kind { at, rate, cron };
  // Of rules, which have no at(), and whose unit is singular after 1 and plural after others.
  enum class Dialect { scheduler, rule };

  // Kind invalid; the message says what is wrong with it, as a sentence without its end.
  static Result<ScheduleExpression> parse(std::string_view text,
                                          Dialect dialect = Dialect::scheduler);

  Kind kind() const { return kind_; }
  // Finer than the cloud's minutes.
  bool has_seconds() const { return has_seconds_; }
  std::int64_t rate_seconds() const { return rate_seconds_; }

  // The first time after `after`, or nullopt where there is none up to the year 2199. Rates count
  // from `first`, which is their first time. A cron's local time that the clocks of `zone` skip has
  // no run, one that they show twice has one, the first; an at() that they skip comes as if they
  // had not been put forward yet.
  std::optional<std::int64_t> next(std::int64_t after, const TimeZone& zone,
                                   std::int64_t first = 0) const;

 private:
  static constexpr int first_year = 1970;
  static constexpr int last_year = 2199;

  // What of a day-of-month or day-of-week depends on the month.
  struct Day {
    enum class Kind {
      before_last,   // number: days
      weekday_near,  // number: the day
      last_weekday,  // Monday to Friday
      last_of,       // number: the day of the week, 0 is Sunday
      nth_of,        // the same, and nth
    };
    Kind kind = Kind::before_last;
    int number = 0;
    int nth = 0;
  };

  Result<> read_at(std::string_view text);
  Result<> read_rate(std::string_view text, Dialect dialect);
  Result<> read_cron(std::string_view text);
  Result<> read_day_of_month(std::string_view text);
  Result<> read_day_of_week(std::string_view text);
  std::optional<std::int64_t> next_cron(std::int64_t after, const TimeZone& zone) const;
  std::optional<std::int64_t> next_in_day(std::int64_t midnight, std::int64_t after_local,
                                          std::int64_t after, const TimeZone& zone) const;
  std::bitset<32> days_of(int year, unsigned month) const;

  Kind kind_ = Kind::at;
  bool has_seconds_ = false;
  std::int64_t at_local_ = 0;
  std::int64_t rate_seconds_ = 0;
  std::bitset<60> seconds_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_of_month_;  // from 1
  std::bitset<13> months_;         // from 1
  std::bitset<8> days_of_week_;    // from 1: Sunday
  std::bitset<last_year - first_year + 1> years_;
  std::vector<Day> days_;
};

}  // namespace mayfly::wire
