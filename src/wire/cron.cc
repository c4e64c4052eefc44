#include "wire/cron.h"

#include <chrono>
#include <cstdlib>

namespace mayfly::wire {

namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr std::int64_t day_seconds = 86'400;

std::int64_t midnight(sys_days day) {
  return std::chrono::sys_seconds(day).time_since_epoch().count();
}

sys_days day_of(std::int64_t local) {
  return std::chrono::floor<days>(std::chrono::sys_seconds(std::chrono::seconds(local)));
}

bool is_weekday(sys_days day) {
  auto which = std::chrono::weekday(day).c_encoding();
  return which >= 1 && which <= 5;
}

// The closest to the n-th of Monday to Friday, in the same month.
unsigned weekday_near(unsigned n, sys_days first, unsigned last) {
  auto which = std::chrono::weekday(first + days(n - 1)).c_encoding();
  if (which == 6) return n > 1 ? n - 1 : n + 2;
  if (which == 0) return n < last ? n + 1 : n - 2;
  return n;
}

}  // namespace

std::optional<std::int64_t> ScheduleExpression::next(std::int64_t after, const TimeZone& zone,
                                                     std::int64_t first) const {
  switch (kind_) {
    case Kind::at: {
      std::int64_t at = zone.instant(at_local_);
      if (at <= after) return std::nullopt;
      return at;
    }
    case Kind::rate: {
      if (after < first) return first;
      std::int64_t at = first + ((after - first) / rate_seconds_ + 1) * rate_seconds_;
      if (at >= midnight(sys_days(std::chrono::year(last_year + 1) / 1 / 1))) return std::nullopt;
      return at;
    }
    case Kind::cron: return next_cron(after, zone);
  }
  std::abort();
}

// Days of the month, as bits from 1.
std::bitset<32> ScheduleExpression::days_of(int year, unsigned month) const {
  auto in = std::chrono::year(year) / std::chrono::month(month);
  sys_days first = in / 1;
  unsigned last = unsigned(std::chrono::year_month_day(sys_days(in / std::chrono::last)).day());
  std::bitset<32> out = days_of_month_;
  unsigned first_weekday = std::chrono::weekday(first).c_encoding();
  for (unsigned day = 1; day <= last; ++day) {
    if (days_of_week_.test((first_weekday + day - 1) % 7 + 1)) out.set(day);
  }
  for (unsigned day = last + 1; day < out.size(); ++day) out.reset(day);
  for (const Day& of : days_) {
    auto number = static_cast<unsigned>(of.number);
    unsigned day = 0;
    switch (of.kind) {
      case Day::Kind::before_last: day = number < last ? last - number : 0; break;
      case Day::Kind::weekday_near:
        day = number <= last ? weekday_near(number, first, last) : 0;
        break;
      case Day::Kind::last_weekday:
        for (day = last; !is_weekday(first + days(day - 1));) --day;
        break;
      case Day::Kind::last_of:
        for (day = last; std::chrono::weekday(first + days(day - 1)).c_encoding() != number;) --day;
        break;
      case Day::Kind::nth_of:
        day = 1 + (number + 7 - first_weekday) % 7 + static_cast<unsigned>(of.nth - 1) * 7;
        break;
    }
    if (day >= 1 && day <= last) out.set(day);
  }
  return out;
}

std::optional<std::int64_t> ScheduleExpression::next_cron(std::int64_t after,
                                                          const TimeZone& zone) const {
  constexpr std::int64_t begin = 0;
  std::int64_t local = std::max(after, begin - 2 * day_seconds);
  if (local >= midnight(sys_days(std::chrono::year(last_year + 1) / 1 / 2))) return std::nullopt;
  local += zone.offset_at(local);
  std::chrono::year_month_day from(day_of(local));
  unsigned month = unsigned(from.month());
  unsigned day = unsigned(from.day());
  for (int year = int(from.year()); year <= last_year; ++year, month = 1, day = 1) {
    if (year < first_year || !years_.test(static_cast<std::size_t>(year - first_year))) continue;
    for (; month <= 12; ++month, day = 1) {
      if (!months_.test(month)) continue;
      auto on = days_of(year, month);
      sys_days first = std::chrono::year(year) / std::chrono::month(month) / 1;
      for (; day < on.size(); ++day) {
        if (!on.test(day)) continue;
        auto at = next_in_day(midnight(first + days(day - 1)), local, after, zone);
        if (at) return at;
      }
    }
  }
  return std::nullopt;
}

// A local time later in the day is a later instant, as of two the first one counts.
std::optional<std::int64_t> ScheduleExpression::next_in_day(std::int64_t midnight,
                                                            std::int64_t after_local,
                                                            std::int64_t after,
                                                            const TimeZone& zone) const {
  for (std::size_t hour = 0; hour < 24; ++hour) {
    auto begin = midnight + static_cast<std::int64_t>(hour) * 3600;
    if (!hours_.test(hour) || begin + 3600 <= after_local) continue;
    for (std::size_t minute = 0; minute < 60; ++minute) {
      if (!minutes_.test(minute)) continue;
      for (std::size_t second = 0; second < 60; ++second) {
        if (!seconds_.test(second)) continue;
        auto local = begin + static_cast<std::int64_t>(minute * 60 + second);
        if (local < after_local) continue;
        auto found = zone.instants(local);
        if (found.count > 0 && found.at[0] > after) return found.at[0];
      }
    }
  }
  return std::nullopt;
}

}  // namespace mayfly::wire
