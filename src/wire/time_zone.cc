#include "wire/time_zone.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace mayfly::wire {

namespace {

constexpr std::int64_t day_seconds = 86'400;
constexpr std::int32_t offset_max = 26 * 3600;  // RFC 8536: less than 26 hours

std::int64_t midnight(std::chrono::sys_days day) {
  return std::chrono::sys_seconds(day).time_since_epoch().count();
}

int year_of(std::int64_t at) {
  auto day = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(
      std::chrono::seconds(std::clamp<std::int64_t>(at, -1'000'000'000'000, 900'000'000'000))));
  return int(std::chrono::year_month_day(day).year());
}

// Reads a POSIX TZ rule from the front; one failed piece fails the whole.
class RuleScan {
 public:
  explicit RuleScan(std::string_view text) : rest_(text) {}

  bool done() const { return ok_ && rest_.empty(); }
  bool ok() const { return ok_; }
  bool skip(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { ok_ = skip(c) && ok_; }
  bool at(char c) const { return rest_.starts_with(c); }
  bool empty() const { return rest_.empty(); }
  // "EST" or "<+0330>".
  void name() {
    std::size_t size = 0;
    if (skip('<')) {
      while (size < rest_.size() && rest_[size] != '>') ++size;
      rest_.remove_prefix(size);
      expect('>');
    } else {
      auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
      while (size < rest_.size() && letter(rest_[size])) ++size;
      rest_.remove_prefix(size);
    }
    if (size < 3) ok_ = false;
  }
  int number(int least, int most) {
    int value = 0;
    std::size_t digits = 0;
    for (; !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9' && digits < 4; ++digits) {
      value = value * 10 + (rest_[0] - '0');
      rest_.remove_prefix(1);
    }
    if (digits == 0 || value < least || value > most) ok_ = false;
    return value;
  }
  // [+-]hh[:mm[:ss]]
  std::int32_t time(int hours_max) {
    int sign = skip('-') ? -1 : 1;
    if (sign == 1) skip('+');
    std::int32_t out = number(0, hours_max) * 3600;
    if (skip(':')) {
      out += number(0, 59) * 60;
      if (skip(':')) out += number(0, 59);
    }
    return sign * out;
  }
  YearlyChange change() {
    YearlyChange out;
    if (skip('M')) {
      out.month = number(1, 12);
      expect('.');
      out.week = number(1, 5);
      expect('.');
      out.day = number(0, 6);
    } else if (skip('J')) {
      out.kind = YearlyChange::Kind::julian;
      out.day = number(1, 365);
    } else {
      out.kind = YearlyChange::Kind::day;
      out.day = number(0, 365);
    }
    if (skip('/')) out.seconds = time(167);
    return out;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// A TZif file's numbers are big-endian.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}
  bool has(std::uint64_t count) const { return count <= rest_.size(); }
  std::string_view take(std::size_t count) {
    auto out = rest_.substr(0, count);
    rest_.remove_prefix(out.size());
    return out;
  }
  std::int64_t number(std::size_t size) {
    auto bytes = take(size);
    std::uint64_t out = 0;
    for (char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
    if (size == 4) return static_cast<std::int32_t>(static_cast<std::uint32_t>(out));
    return static_cast<std::int64_t>(out);
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Offset  Size  What
//      0     4  "TZif"
//      4     1  version: NUL, '2' and later (a second block with times of 8 bytes follows)
//      5    15  unused
//     20   6×4  counts: UT flags, standard flags, leap seconds, times, types, name bytes
struct Head {
  char version = 0;
  std::size_t ut_flags = 0, standard_flags = 0, leaps = 0, times = 0, types = 0, name_bytes = 0;
  std::uint64_t body(std::size_t time_size) const {
    return times * (time_size + 1) + types * 6 + name_bytes + leaps * (time_size + 4) +
           standard_flags + ut_flags;
  }
};

std::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorKind::corrupt, fmt::format("not the file of a time zone: {}", what));
}

Result<Head> read_head(Bytes& bytes) {
  if (!bytes.has(44) || bytes.take(4) != "TZif") return corrupt("it has no head");
  Head out;
  out.version = bytes.take(1)[0];
  bytes.take(15);
  for (auto* count :
       {&out.ut_flags, &out.standard_flags, &out.leaps, &out.times, &out.types, &out.name_bytes}) {
    *count = static_cast<std::uint32_t>(bytes.number(4));
  }
  if (out.types == 0) return corrupt("it has no types");
  return out;
}

}  // namespace

std::int64_t YearlyChange::in_year(int year) const {
  using namespace std::chrono;
  std::chrono::year of(year);
  sys_days first(of / January / 1);
  switch (kind) {
    case Kind::month_week_day: {
      auto in = of / std::chrono::month(static_cast<unsigned>(month));
      weekday which(static_cast<unsigned>(this->day));
      auto on = week == 5 ? sys_days(in / which[last])
                          : sys_days(in / which[static_cast<unsigned>(week)]);
      return midnight(on) + seconds;
    }
    case Kind::julian: {
      int after_february = of.is_leap() && this->day > 59 ? 1 : 0;
      return midnight(first + days(this->day - 1 + after_february)) + seconds;
    }
    case Kind::day: return midnight(first + days(this->day)) + seconds;
  }
  std::abort();
}

Result<YearlyRule> YearlyRule::parse(std::string_view text) {
  RuleScan scan(text);
  YearlyRule out;
  scan.name();
  out.standard_offset = -scan.time(24);  // POSIX counts what is west
  if (scan.ok() && !scan.empty()) {
    scan.name();
    out.daylight_offset = out.standard_offset + 3600;
    if (!scan.at(',')) out.daylight_offset = -scan.time(24);
    scan.expect(',');
    out.to_daylight = scan.change();
    scan.expect(',');
    out.to_standard = scan.change();
  }
  if (!scan.done()) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not a rule of a time zone", text));
  }
  return out;
}

std::int32_t YearlyRule::offset_at(std::int64_t at) const {
  if (!daylight_offset) return standard_offset;
  int year = year_of(at + standard_offset);
  std::int64_t begins = to_daylight.in_year(year) - standard_offset;
  std::int64_t ends = to_standard.in_year(year) - *daylight_offset;
  // In the south it ends before it begins.
  bool daylight = begins < ends ? at >= begins && at < ends : at >= begins || at < ends;
  return daylight ? *daylight_offset : standard_offset;
}

const std::shared_ptr<const TimeZone>& TimeZone::utc() {
  static const auto out = std::make_shared<const TimeZone>();
  return out;
}

Result<TimeZone> TimeZone::parse(std::string_view tzif) {
  Bytes bytes(tzif);
  TRY_ASSIGN(Head head, read_head(bytes));
  std::size_t time_size = 4;
  if (head.version != '\0') {
    if (!bytes.has(head.body(4))) return corrupt("it ends early");
    bytes.take(head.body(4));
    TRY_ASSIGN(head, read_head(bytes));
    time_size = 8;
  }
  if (!bytes.has(head.body(time_size))) return corrupt("it ends early");
  if (head.leaps != 0) return corrupt("it counts leap seconds");
  TimeZone out;
  for (std::size_t i = 0; i < head.times; ++i) out.changes_.push_back(bytes.number(time_size));
  auto kinds = bytes.take(head.times);
  std::vector<std::int32_t> types;
  for (std::size_t i = 0; i < head.types; ++i) {
    types.push_back(static_cast<std::int32_t>(bytes.number(4)));
    bytes.take(2);  // whether it is daylight saving time, and its name
    bool good = types.back() >= -offset_max && types.back() <= offset_max;
    if (!good) return corrupt("an offset of more than a day");
  }
  for (char kind : kinds) {
    std::size_t type = static_cast<unsigned char>(kind);
    if (type >= types.size()) return corrupt("a type that is not there");
    out.offsets_.push_back(types[type]);
  }
  if (!std::ranges::is_sorted(out.changes_)) return corrupt("its times are in disorder");
  out.first_offset_ = types[0];
  bytes.take(head.name_bytes + head.leaps * (time_size + 4) + head.standard_flags + head.ut_flags);
  auto footer = bytes.rest();
  if (time_size == 8 && footer.size() >= 2 && footer.front() == '\n') {
    footer = footer.substr(1, footer.find('\n', 1) - 1);
    if (!footer.empty()) {
      TRY_ASSIGN(out.rule_, YearlyRule::parse(footer));
    }
  }
  return out;
}

std::int32_t TimeZone::offset_at(std::int64_t at) const {
  auto next = std::ranges::upper_bound(changes_, at);
  if (next == changes_.end() && rule_) return rule_->offset_at(at);
  if (next == changes_.begin()) return first_offset_;
  return offsets_[static_cast<std::size_t>(next - changes_.begin()) - 1];
}

TimeZone::Instants TimeZone::instants(std::int64_t local) const {
  Instants out;
  std::int32_t before = offset_at(local - day_seconds);
  std::int32_t after = offset_at(local + day_seconds);
  auto add = [&](std::int32_t offset) {
    std::int64_t at = local - offset;
    if (offset_at(at) != offset) return;
    out.at[static_cast<std::size_t>(out.count++)] = at;
  };
  add(before);
  if (after != before) add(after);
  return out;
}

std::int64_t TimeZone::instant(std::int64_t local) const {
  auto found = instants(local);
  return found.count > 0 ? found.at[0] : local - offset_at(local - day_seconds);
}

}  // namespace mayfly::wire
