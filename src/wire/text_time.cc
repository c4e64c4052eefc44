#include <charconv>
#include <cmath>

#include "wire/text.h"

namespace mayfly::wire {

namespace {

constexpr std::array<std::string_view, 12> month_names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> day_names = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
constexpr std::int64_t first_millis = -62'135'596'800'000;  // 0001-01-01T00:00:00Z
constexpr std::int64_t last_millis = 253'402'300'799'999;   // 9999-12-31T23:59:59.999Z

struct Parts {
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<std::chrono::milliseconds> time;
  unsigned weekday = 0;
};

Parts parts_of(std::int64_t epoch_millis) {
  std::chrono::sys_time<std::chrono::milliseconds> time(
      std::chrono::milliseconds(std::clamp(epoch_millis, first_millis, last_millis)));
  auto day = std::chrono::floor<std::chrono::days>(time);
  return {std::chrono::year_month_day(day), std::chrono::hh_mm_ss(time - day),
          std::chrono::weekday(day).c_encoding()};
}

std::string fraction_of(const Parts& parts, Fraction fraction) {
  auto millis = parts.time.subseconds().count();
  if (fraction == Fraction::none || (fraction == Fraction::as_needed && millis == 0)) return {};
  return fmt::format(".{:03}", millis);
}

// Reads fixed pieces from the front of a text; one failed piece fails the whole.
class Scan {
 public:
  explicit Scan(std::string_view text) : rest_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (rest_.empty() || rest_[0] < '0' || rest_[0] > '9') {
        ok_ = false;
        return 0;
      }
      value = value * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }
  bool skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view text) {
    if (rest_.starts_with(text)) {
      rest_.remove_prefix(text.size());
    } else {
      ok_ = false;
    }
  }
  // ".123456" cut to milliseconds; absent is 0.
  int fraction_millis() {
    if (!skip('.')) return 0;
    int millis = 0;
    int count = 0;
    for (; !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; rest_.remove_prefix(1), ++count) {
      if (count < 3) millis = millis * 10 + (rest_[0] - '0');
    }
    if (count == 0) ok_ = false;
    for (; count < 3; ++count) millis *= 10;
    return millis;
  }
  // "Z", "+01:00", "+0100": minutes to take off.
  int offset_minutes() {
    if (skip('Z') || skip('z')) return 0;
    int sign = skip('+') ? 1 : skip('-') ? -1 : 0;
    if (sign == 0) ok_ = false;
    int hours = digits(2);
    skip(':');
    int minutes = digits(2);
    if (hours > 23 || minutes > 59) ok_ = false;
    return sign * (hours * 60 + minutes);
  }
  // One of "Jan" … "Dec" as 1 … 12.
  int month_name() {
    auto found = std::find(month_names.begin(), month_names.end(), rest_.substr(0, 3));
    if (found == month_names.end()) {
      ok_ = false;
      return 1;
    }
    rest_.remove_prefix(3);
    return static_cast<int>(found - month_names.begin()) + 1;
  }
  std::string_view& rest() { return rest_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::unexpected<Error> bad_time(std::string_view text, std::string_view form) {
  return fail(ErrorKind::invalid, fmt::format("'{}' is not a {} timestamp", text, form));
}

struct Fields {
  int year, month, day, hour, minute, second, millis;
};

std::optional<std::int64_t> millis_of(const Fields& f) {
  std::chrono::year_month_day date{std::chrono::year(f.year),
                                   std::chrono::month(static_cast<unsigned>(f.month)),
                                   std::chrono::day(static_cast<unsigned>(f.day))};
  // 60 is a leap second: it counts as the next second, as POSIX time has none.
  if (!date.ok() || f.hour > 23 || f.minute > 59 || f.second > 60) return std::nullopt;
  auto time = std::chrono::sys_days(date) + std::chrono::hours(f.hour) +
              std::chrono::minutes(f.minute) + std::chrono::seconds(f.second) +
              std::chrono::milliseconds(f.millis);
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

std::string format_iso8601(std::int64_t epoch_millis, Fraction fraction) {
  Parts p = parts_of(epoch_millis);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", int(p.date.year()),
                     unsigned(p.date.month()), unsigned(p.date.day()), p.time.hours().count(),
                     p.time.minutes().count(), p.time.seconds().count(), fraction_of(p, fraction));
}

Result<std::int64_t> parse_iso8601(std::string_view text) {
  Scan scan(text);
  Fields f{};
  f.year = scan.digits(4);
  scan.expect("-");
  f.month = scan.digits(2);
  scan.expect("-");
  f.day = scan.digits(2);
  if (!scan.skip('T') && !scan.skip('t')) scan.expect(" ");
  f.hour = scan.digits(2);
  scan.expect(":");
  f.minute = scan.digits(2);
  scan.expect(":");
  f.second = scan.digits(2);
  f.millis = scan.fraction_millis();
  int offset = scan.offset_minutes();
  if (!scan.done()) return bad_time(text, "ISO 8601");
  auto millis = millis_of(f);
  if (!millis) return bad_time(text, "ISO 8601");
  return *millis - offset * 60'000;
}

std::string format_rfc822(std::int64_t epoch_millis, Fraction fraction) {
  Parts p = parts_of(epoch_millis);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02}{} GMT", day_names[p.weekday],
                     unsigned(p.date.day()), month_names[unsigned(p.date.month()) - 1],
                     int(p.date.year()), p.time.hours().count(), p.time.minutes().count(),
                     p.time.seconds().count(), fraction_of(p, fraction));
}

Result<std::int64_t> parse_rfc822(std::string_view text) {
  Scan scan(text);
  auto comma = text.find(", ");
  if (comma != text.npos) scan.rest().remove_prefix(comma + 2);
  Fields f{};
  f.day = scan.rest().size() > 1 && scan.rest()[1] == ' ' ? scan.digits(1) : scan.digits(2);
  scan.expect(" ");
  f.month = scan.month_name();
  scan.expect(" ");
  f.year = scan.digits(4);
  scan.expect(" ");
  f.hour = scan.digits(2);
  scan.expect(":");
  f.minute = scan.digits(2);
  scan.expect(":");
  f.second = scan.digits(2);
  f.millis = scan.fraction_millis();
  scan.expect(" ");
  int offset = 0;
  if (scan.rest() == "GMT" || scan.rest() == "UTC") {
    scan.rest() = {};
  } else {
    offset = scan.offset_minutes();
  }
  if (!scan.done()) return bad_time(text, "RFC 822");
  auto millis = millis_of(f);
  if (!millis) return bad_time(text, "RFC 822");
  return *millis - offset * 60'000;
}

std::string format_epoch_seconds(std::int64_t epoch_millis) {
  std::int64_t ms = std::clamp(epoch_millis, first_millis, last_millis);
  std::int64_t rest = std::abs(ms % 1000);
  std::string out = fmt::format("{}{}", ms < 0 ? "-" : "", std::abs(ms / 1000));
  if (rest == 0) return out;
  out += fmt::format(".{:03}", rest);
  while (out.ends_with('0')) out.pop_back();
  return out;
}

Result<std::int64_t> parse_epoch_seconds(std::string_view text) {
  auto seconds = parse_double(text);
  if (!seconds) return bad_time(text, "epoch seconds");
  double millis = std::round(*seconds * 1000);
  if (!(millis >= double(first_millis) && millis <= double(last_millis))) {
    return bad_time(text, "epoch seconds");
  }
  return static_cast<std::int64_t>(millis);
}

std::string format_amz_date(std::int64_t epoch_millis) {
  Parts p = parts_of(epoch_millis);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", int(p.date.year()),
                     unsigned(p.date.month()), unsigned(p.date.day()), p.time.hours().count(),
                     p.time.minutes().count(), p.time.seconds().count());
}

Result<std::int64_t> parse_amz_date(std::string_view text) {
  Scan scan(text);
  Fields f{};
  f.year = scan.digits(4);
  f.month = scan.digits(2);
  f.day = scan.digits(2);
  scan.expect("T");
  f.hour = scan.digits(2);
  f.minute = scan.digits(2);
  f.second = scan.digits(2);
  scan.expect("Z");
  if (!scan.done()) return bad_time(text, "basic ISO 8601");
  auto millis = millis_of(f);
  if (!millis) return bad_time(text, "basic ISO 8601");
  return *millis;
}

}  // namespace mayfly::wire
