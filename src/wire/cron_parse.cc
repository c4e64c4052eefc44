#include <algorithm>
#include <chrono>

#include "wire/cron.h"
#include "wire/text.h"

namespace mayfly::wire {

namespace {

std::unexpected<Error> wrong(std::string message) {
  return fail(ErrorKind::invalid, std::move(message));
}

constexpr std::array<std::string_view, 12> month_names = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> day_names = {"SUN", "MON", "TUE", "WED",
                                                       "THU", "FRI", "SAT"};

struct Field {
  std::string_view name;
  int least = 0;
  int most = 0;
  std::span<const std::string_view> names = {};  // of least, least + 1 …
};
constexpr Field second_field{.name = "seconds", .least = 0, .most = 59};
constexpr Field minute_field{.name = "minutes", .least = 0, .most = 59};
constexpr Field hour_field{.name = "hours", .least = 0, .most = 23};
constexpr Field day_of_month_field{.name = "day-of-month", .least = 1, .most = 31};
constexpr Field month_field{.name = "month", .least = 1, .most = 12, .names = month_names};
constexpr Field day_of_week_field{.name = "day-of-week", .least = 1, .most = 7, .names = day_names};
constexpr Field year_field{.name = "year", .least = 1970, .most = 2199};

Result<int> number_of(std::string_view text, const Field& field) {
  auto named =
      std::ranges::find_if(field.names, [&](std::string_view name) { return iequals(name, text); });
  if (named != field.names.end())
    return field.least + static_cast<int>(named - field.names.begin());
  bool digits = !text.empty() && text.size() <= 4 &&
                std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return wrong(fmt::format("'{}' is not a value of {}", text, field.name));
  int value = 0;
  for (char c : text) value = value * 10 + (c - '0');
  if (value < field.least || value > field.most) {
    return wrong(fmt::format("{} is outside of {}, which go from {} to {}", value, field.name,
                             field.least, field.most));
  }
  return value;
}

// "*", "5", "MON-FRI", "0/15", "*/5", "10-40/10": calls take(value) for each, in no order.
Result<> read_item(std::string_view item, const Field& field, auto take) {
  auto slash = item.find('/');
  std::string_view range = item.substr(0, slash);
  int from = field.least;
  int to = field.most;
  if (range != "*") {
    auto dash = range.find('-');
    TRY_ASSIGN(from, number_of(range.substr(0, dash), field));
    to = slash == item.npos ? from : field.most;
    if (dash != range.npos) {
      TRY_ASSIGN(to, number_of(range.substr(dash + 1), field));
    }
  }
  int step = 1;
  int count = field.most - field.least + 1;
  if (slash != item.npos) {
    auto steps = parse_int(item.substr(slash + 1));
    if (!steps || *steps < 1 || *steps > count) {
      return wrong(fmt::format("the step of '{}' must be a number from 1 to {}", item, count));
    }
    step = static_cast<int>(*steps);
  }
  if (to < from) {
    if (&field == &year_field) return wrong(fmt::format("the years {} run backwards", range));
    to += count;
  }
  for (int value = from; value <= to; value += step) {
    take(field.least + (value - field.least) % count);
  }
  return {};
}

template <std::size_t N>
Result<> read_field(std::string_view text, const Field& field, std::bitset<N>& out,
                    int offset = 0) {
  for (std::string_view item : split(text, ',')) {
    TRY(read_item(item, field,
                  [&](int value) { out.set(static_cast<std::size_t>(value - offset)); }));
  }
  return {};
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (true) {
    auto begin = text.find_first_not_of(" \t");
    if (begin == text.npos) return out;
    text.remove_prefix(begin);
    auto size = std::min(text.find_first_of(" \t"), text.size());
    out.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
}

}  // namespace

Result<ScheduleExpression> ScheduleExpression::parse(std::string_view text, Dialect dialect) {
  ScheduleExpression out;
  auto inside = [&](std::string_view name) -> std::optional<std::string_view> {
    if (!text.starts_with(name) || !text.ends_with(')')) return std::nullopt;
    return text.substr(name.size(), text.size() - name.size() - 1);
  };
  if (auto at = inside("at("); at && dialect == Dialect::scheduler) {
    TRY(out.read_at(*at));
  } else if (auto rate = inside("rate(")) {
    TRY(out.read_rate(*rate, dialect));
  } else if (auto cron = inside("cron(")) {
    TRY(out.read_cron(*cron));
  } else {
    return wrong(dialect == Dialect::scheduler
                     ? "it must be at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)"
                     : "it must be rate(value unit) or cron(fields)");
  }
  return out;
}

Result<> ScheduleExpression::read_at(std::string_view text) {
  kind_ = Kind::at;
  // Read as if it were UTC; the zone is given apart.
  constexpr std::string_view form = "0000-00-00T00:00:00";
  auto millis = text.size() == form.size() && text.find('T') == form.find('T')
                    ? parse_iso8601(fmt::format("{}Z", text))
                    : wrong("");
  if (!millis || text.ends_with("60")) {
    return wrong(fmt::format("'{}' is not a time as yyyy-mm-ddThh:mm:ss", text));
  }
  at_local_ = *millis / 1000;
  return {};
}

Result<> ScheduleExpression::read_rate(std::string_view text, Dialect dialect) {
  kind_ = Kind::rate;
  auto words = words_of(text);
  if (words.size() != 2) return wrong("a rate is a value and a unit, as in rate(5 minutes)");
  auto value = parse_int(words[0]);
  if (!value || *value < 1 || words[0].front() == '+') {
    return wrong(fmt::format("the value '{}' of a rate must be a positive number", words[0]));
  }
  std::string_view unit = words[1];
  bool plural = unit.ends_with('s');
  if (plural) unit.remove_suffix(1);
  if (unit == "second") {
    rate_seconds_ = 1;
    has_seconds_ = true;
  } else if (unit == "minute") {
    rate_seconds_ = 60;
  } else if (unit == "hour") {
    rate_seconds_ = 3600;
  } else if (unit == "day") {
    rate_seconds_ = 86'400;
  } else {
    return wrong(fmt::format("the unit '{}' must be minutes, hours or days", words[1]));
  }
  if (dialect == Dialect::rule && plural == (*value == 1)) {
    return wrong("the unit must be singular after 1, and plural after any other value");
  }
  constexpr std::int64_t longest = std::int64_t{86'400} * 366 * (last_year - first_year + 1);
  rate_seconds_ = *value > longest / rate_seconds_ ? longest : *value * rate_seconds_;
  return {};
}

Result<> ScheduleExpression::read_cron(std::string_view text) {
  kind_ = Kind::cron;
  auto fields = words_of(text);
  if (fields.size() == 7) {
    has_seconds_ = true;
    TRY(read_field(fields[0], second_field, seconds_));
    fields.erase(fields.begin());
  } else {
    seconds_.set(0);
  }
  if (fields.size() != 6) {
    return wrong(fmt::format(
        "a cron has six fields (minutes hours day-of-month month day-of-week year), not {}",
        fields.size()));
  }
  if ((fields[2] == "?") == (fields[4] == "?")) {
    return wrong("either day-of-month or day-of-week must be '?', and not both");
  }
  TRY(read_field(fields[0], minute_field, minutes_));
  TRY(read_field(fields[1], hour_field, hours_));
  TRY(read_field(fields[3], month_field, months_));
  TRY(read_field(fields[5], year_field, years_, first_year));
  if (fields[2] != "?") return read_day_of_month(fields[2]);
  return read_day_of_week(fields[4]);
}

Result<> ScheduleExpression::read_day_of_month(std::string_view text) {
  for (std::string_view item : split(text, ',')) {
    if (iequals(item, "LW")) {
      days_.push_back({.kind = Day::Kind::last_weekday});
    } else if (iequals(item, "L")) {
      days_.push_back({.kind = Day::Kind::before_last, .number = 0});
    } else if (istarts_with(item, "L-")) {
      constexpr Field before{.name = "days before the last", .least = 1, .most = 30};
      TRY_ASSIGN(int days, number_of(item.substr(2), before));
      days_.push_back({.kind = Day::Kind::before_last, .number = days});
    } else if (item.ends_with('W') || item.ends_with('w')) {
      TRY_ASSIGN(int day, number_of(item.substr(0, item.size() - 1), day_of_month_field));
      days_.push_back({.kind = Day::Kind::weekday_near, .number = day});
    } else {
      TRY(read_item(item, day_of_month_field,
                    [&](int day) { days_of_month_.set(static_cast<std::size_t>(day)); }));
    }
  }
  return {};
}

Result<> ScheduleExpression::read_day_of_week(std::string_view text) {
  auto items = split(text, ',');
  for (std::string_view item : items) {
    if (auto hash = item.find('#'); hash != item.npos) {
      if (items.size() != 1) return wrong("a day-of-week with '#' stands alone");
      constexpr Field nth{.name = "weeks of a month", .least = 1, .most = 5};
      TRY_ASSIGN(int day, number_of(item.substr(0, hash), day_of_week_field));
      TRY_ASSIGN(int week, number_of(item.substr(hash + 1), nth));
      days_.push_back({.kind = Day::Kind::nth_of, .number = day - 1, .nth = week});
    } else if (iequals(item, "L")) {
      days_of_week_.set(7);
    } else if (item.size() > 1 && (item.ends_with('L') || item.ends_with('l'))) {
      TRY_ASSIGN(int day, number_of(item.substr(0, item.size() - 1), day_of_week_field));
      days_.push_back({.kind = Day::Kind::last_of, .number = day - 1});
    } else {
      TRY(read_item(item, day_of_week_field,
                    [&](int day) { days_of_week_.set(static_cast<std::size_t>(day)); }));
    }
  }
  return {};
}

}  // namespace mayfly::wire
