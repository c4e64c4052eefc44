// TimeZone: when the clocks of a place show what. Read from the bytes of a TZif file (RFC 8536),
// with the POSIX TZ rule at its end for the time after its last transition.
//
// Times are whole seconds: instants since the epoch, UTC; local ones as if the same calendar were
// UTC. Pure; safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mayfly::wire {

// Of a year, in its own local time: where daylight saving time begins or ends (POSIX, "TZ").
struct YearlyChange {
  enum class Kind {
    month_week_day,  // Mm.w.d: the w-th (5: last) weekday d (0: Sunday) of month m
    julian,          // Jn: day 1 to 365, where 29 February is not counted
    day,             // n: day 0 to 365
  };
  Kind kind = Kind::month_week_day;
  int month = 1;
  int week = 1;
  int day = 0;
  std::int32_t seconds = 7200;  // after midnight; may be negative or beyond that day
  // Local seconds.
  std::int64_t in_year(int year) const;
};

// What holds for ever: one offset, or two that change every year.
struct YearlyRule {
  std::int32_t standard_offset = 0;  // seconds east of UTC
  std::optional<std::int32_t> daylight_offset{};
  YearlyChange to_daylight{};
  YearlyChange to_standard{};
  // Kind invalid: "EST5EDT,M3.2.0,M11.1.0" and the like, with the hours up to 167 of RFC 8536.
  static Result<YearlyRule> parse(std::string_view text);
  std::int32_t offset_at(std::int64_t at) const;
};

class TimeZone {
 public:
  static const std::shared_ptr<const TimeZone>& utc();
  // Kind corrupt. Leap seconds are refused: POSIX time has none.
  static Result<TimeZone> parse(std::string_view tzif);

  // Seconds east of UTC.
  std::int32_t offset_at(std::int64_t at) const;
  // When clocks show that local time: never where they were put forward over it, twice where they
  // were put back. Clocks are taken to change once in two days at the most.
  struct Instants {
    int count = 0;
    std::array<std::int64_t, 2> at{};  // the earlier first
  };
  Instants instants(std::int64_t local) const;
  // The same as one instant: of two the earlier; in a gap, as if the clocks had not been put
  // forward yet.
  std::int64_t instant(std::int64_t local) const;

 private:
  std::vector<std::int64_t> changes_;  // ascending
  std::vector<std::int32_t> offsets_;  // from changes_[i] on
  std::int32_t first_offset_ = 0;      // before the first change
  std::optional<YearlyRule> rule_{};   // after the last one
};

}  // namespace mayfly::wire
