#include "wire/cron.h"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "wire/schedule_vectors_test.h"
#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

using Dialect = ScheduleExpression::Dialect;

std::int64_t at(std::string_view iso) { return *parse_iso8601(iso) / 1000; }

ScheduleExpression parsed(std::string_view text, Dialect dialect = Dialect::scheduler) {
  auto out = ScheduleExpression::parse(text, dialect);
  REQUIRE_MESSAGE(out.has_value(), text << ": " << out.error().message);
  return *out;
}

std::string refused(std::string_view text, Dialect dialect = Dialect::scheduler) {
  auto out = ScheduleExpression::parse(text, dialect);
  REQUIRE_MESSAGE(!out.has_value(), text);
  CHECK(out.error().kind == ErrorKind::invalid);
  return out.error().message;
}

std::string next(std::string_view text, std::string_view after,
                 const TimeZone& zone = *TimeZone::utc()) {
  auto out = parsed(text).next(at(after), zone);
  return out ? format_iso8601(*out * 1000) : "never";
}

std::optional<TimeZone> of_machine(std::string_view name) {
  std::ifstream file(fmt::format("/usr/share/zoneinfo/{}", name), std::ios::binary);
  if (!file) return std::nullopt;
  std::stringstream bytes;
  bytes << file.rdbuf();
  return *TimeZone::parse(bytes.str());
}

}  // namespace

TEST_CASE("schedule expression: fields of a cron") {
  CHECK(next("cron(15 10 * * ? *)", "2030-01-01T10:15:00Z") == "2030-01-02T10:15:00Z");
  CHECK(next("cron(15 10 * * ? *)", "2030-01-01T10:14:59Z") == "2030-01-01T10:15:00Z");
  CHECK(next("cron(0/15 * * * ? *)", "2030-01-01T10:15:00Z") == "2030-01-01T10:30:00Z");
  CHECK(next("cron(*/15 * * * ? *)", "2030-01-01T10:50:00Z") == "2030-01-01T11:00:00Z");
  CHECK(next("cron(10-40/10 8 * * ? *)", "2030-01-01T08:20:00Z") == "2030-01-01T08:30:00Z");
  CHECK(next("cron(5/20,59 8 * * ? *)", "2030-01-01T08:46:00Z") == "2030-01-01T08:59:00Z");
  CHECK(next("cron(0 18 ? * MON-FRI *)", "2030-01-04T18:00:00Z") == "2030-01-07T18:00:00Z");
  CHECK(next("cron(0 18 ? * mon-fri *)", "2030-01-04T18:00:00Z") == "2030-01-07T18:00:00Z");
  CHECK(next("cron(0 18 ? * 2-6 *)", "2030-01-04T18:00:00Z") == "2030-01-07T18:00:00Z");
  CHECK(next("cron(0 0 ? * SAT-SUN *)", "2030-01-05T00:00:00Z") == "2030-01-06T00:00:00Z");
  CHECK(next("cron(0 22-2 * * ? *)", "2030-01-05T02:00:00Z") == "2030-01-05T22:00:00Z");
  CHECK(next("cron(0 0 1 JAN,JUL ? *)", "2030-01-05T00:00:00Z") == "2030-07-01T00:00:00Z");
  CHECK(next("cron(0 0 1 1 ? 2035)", "2030-01-05T00:00:00Z") == "2035-01-01T00:00:00Z");
  CHECK(next("cron(0  0 1\t1 ? 2030-2040/5)", "2031-01-05T00:00:00Z") == "2035-01-01T00:00:00Z");
}

TEST_CASE("schedule expression: days by month and week") {
  CHECK(next("cron(0 0 L * ? *)", "2032-02-01T00:00:00Z") == "2032-02-29T00:00:00Z");
  CHECK(next("cron(0 0 L-3 * ? *)", "2030-02-01T00:00:00Z") == "2030-02-25T00:00:00Z");
  CHECK(next("cron(0 0 LW * ? *)", "2030-03-01T00:00:00Z") == "2030-03-29T00:00:00Z");
  CHECK(next("cron(0 0 15W * ? *)", "2030-06-01T00:00:00Z") == "2030-06-14T00:00:00Z");
  CHECK(next("cron(0 0 1W * ? *)", "2030-05-31T00:00:00Z") == "2030-06-03T00:00:00Z");
  CHECK(next("cron(0 0 31W * ? *)", "2030-03-01T00:00:00Z") == "2030-03-29T00:00:00Z");
  CHECK(next("cron(0 0 1,L * ? *)", "2030-03-01T00:00:00Z") == "2030-03-31T00:00:00Z");
  CHECK(next("cron(0 0 ? * L *)", "2030-01-01T00:00:00Z") == "2030-01-05T00:00:00Z");
  CHECK(next("cron(0 0 ? * 6L *)", "2030-01-01T00:00:00Z") == "2030-01-25T00:00:00Z");
  CHECK(next("cron(0 0 ? * FRIL *)", "2030-01-01T00:00:00Z") == "2030-01-25T00:00:00Z");
  CHECK(next("cron(0 0 ? * 3#2 *)", "2030-01-01T00:00:00Z") == "2030-01-08T00:00:00Z");
  CHECK(next("cron(0 0 ? * TUE#5 *)", "2030-02-01T00:00:00Z") == "2030-04-30T00:00:00Z");
}

TEST_CASE("schedule expression: what never comes") {
  CHECK(next("cron(0 0 31 2 ? *)", "2030-01-01T00:00:00Z") == "never");
  CHECK(next("cron(0 0 1 1 ? 2029)", "2030-01-01T00:00:00Z") == "never");
  CHECK(next("cron(0 0 1 1 ? *)", "2199-06-01T00:00:00Z") == "never");
  CHECK(next("at(2029-12-31T00:00:00)", "2030-01-01T00:00:00Z") == "never");
  CHECK(next("cron(0 0 1 1 ? 1970)", "1960-01-01T00:00:00Z") == "1970-01-01T00:00:00Z");
  CHECK_FALSE(parsed("rate(9223372036854775807 days)")
                  .next(at("2030-01-01T00:00:00Z"), *TimeZone::utc(), 1000));
}

TEST_CASE("schedule expression: at and rate") {
  CHECK(next("at(2030-01-31T09:30:05)", "2030-01-01T00:00:00Z") == "2030-01-31T09:30:05Z");
  auto rate = parsed("rate(5 minutes)");
  CHECK(rate.kind() == ScheduleExpression::Kind::rate);
  CHECK(rate.rate_seconds() == 300);
  CHECK(rate.next(99, *TimeZone::utc(), 100) == 100);
  CHECK(rate.next(100, *TimeZone::utc(), 100) == 400);
  CHECK(rate.next(399, *TimeZone::utc(), 100) == 400);
  CHECK(rate.next(400, *TimeZone::utc(), 100) == 700);
  CHECK(parsed("rate(1 days)").rate_seconds() == 86'400);
  CHECK(parsed("rate(1 hour)").rate_seconds() == 3600);
}

TEST_CASE("schedule expression: seconds, beyond the cloud") {
  CHECK(parsed("rate(10 seconds)").rate_seconds() == 10);
  CHECK(parsed("rate(10 seconds)").has_seconds());
  CHECK_FALSE(parsed("rate(10 minutes)").has_seconds());
  CHECK(next("cron(0/10 * * * * ? *)", "2030-01-01T00:00:00Z") == "2030-01-01T00:00:10Z");
  CHECK(next("cron(30 5 0 * * ? *)", "2030-01-01T00:05:30Z") == "2030-01-02T00:05:30Z");
  CHECK(parsed("cron(30 5 0 * * ? *)").has_seconds());
}

TEST_CASE("schedule expression: wrong ones say what is wrong") {
  CHECK(refused("every day").contains("at(yyyy-mm-ddThh:mm:ss)"));
  for (std::string_view text : {"",
                                "cron()",
                                "cron",
                                "cron(",
                                "rate()",
                                "at()",
                                "cron(* * * * *)",
                                "cron(* * * * * *)",
                                "cron(* * ? * ? *)",
                                "cron(60 * * * ? *)",
                                "cron(* 24 * * ? *)",
                                "cron(* * 0 * ? *)",
                                "cron(* * 32 * ? *)",
                                "cron(* * * 13 ? *)",
                                "cron(* * ? * 8 *)",
                                "cron(* * ? * 0 *)",
                                "cron(* * * * ? 1969)",
                                "cron(* * * * ? 2200)",
                                "cron(* * * FOO ? *)",
                                "cron(a * * * ? *)",
                                "cron(*/0 * * * ? *)",
                                "cron(*/61 * * * ? *)",
                                "cron(1- * * * ? *)",
                                "cron(,1 * * * ? *)",
                                "cron(-1 * * * ? *)",
                                "cron(1/ * * * ? *)",
                                "cron(? * * * ? *)",
                                "cron(* * ? * 3#6 *)",
                                "cron(* * ? * 3#1,6#3 *)",
                                "cron(* * ? * #1 *)",
                                "cron(* * W * ? *)",
                                "cron(* * L-31 * ? *)",
                                "cron(* * 32W * ? *)",
                                "cron(* * ? * 8L *)",
                                "cron(* * * * ? 2031-2030)",
                                "cron(0 0 0 0 * * ? *)",
                                "rate(0 minutes)",
                                "rate(-1 minutes)",
                                "rate(5)",
                                "rate(5 weeks)",
                                "rate(1.5 hours)",
                                "rate(5 minutess)",
                                "rate(5  )",
                                "rate(+5 minutes)",
                                "rate(x minutes)",
                                "at(2030-01-01)",
                                "at(2030-13-01T00:00:00)",
                                "at(2030-01-01T00:00:00Z)",
                                "at(2030-01-01 00:00:00)",
                                "at(2030-02-30T00:00:00)",
                                "at(2030-01-01T00:00:60)",
                                "Rate(5 minutes)",
                                "rate(5 minutes) "}) {
    CHECK(!refused(text).empty());
  }
}

TEST_CASE("schedule expression: rules have no at() and agree in number") {
  CHECK(parsed("rate(1 minute)", Dialect::rule).rate_seconds() == 60);
  CHECK(parsed("rate(2 days)", Dialect::rule).rate_seconds() == 172'800);
  CHECK(refused("rate(1 minutes)", Dialect::rule).contains("singular"));
  CHECK(refused("rate(2 hour)", Dialect::rule).contains("plural"));
  CHECK(refused("at(2030-01-01T00:00:00)", Dialect::rule).contains("cron(fields)"));
}

TEST_CASE("schedule expression: days on which clocks change") {
  auto zone = of_machine("America/New_York");
  REQUIRE_MESSAGE(zone.has_value(), "tzdata is missing");
  // 2024-03-10: 02:00 to 03:00 is skipped; 2024-11-03: 01:00 to 02:00 comes twice.
  CHECK(next("cron(30 2 * * ? *)", "2024-03-09T12:00:00Z", *zone) == "2024-03-11T06:30:00Z");
  CHECK(next("cron(30 1 * * ? *)", "2024-11-03T00:00:00Z", *zone) == "2024-11-03T05:30:00Z");
  CHECK(next("cron(30 1 * * ? *)", "2024-11-03T05:30:00Z", *zone) == "2024-11-04T06:30:00Z");
  CHECK(next("cron(0/30 * * * ? *)", "2024-11-03T05:30:00Z", *zone) == "2024-11-03T07:00:00Z");
  CHECK(next("cron(0/30 * * * ? *)", "2024-03-10T06:30:00Z", *zone) == "2024-03-10T07:00:00Z");
  CHECK(next("at(2024-03-10T02:30:00)", "2024-03-09T00:00:00Z", *zone) == "2024-03-10T07:30:00Z");
  CHECK(next("at(2024-11-03T01:30:00)", "2024-11-01T00:00:00Z", *zone) == "2024-11-03T05:30:00Z");
}

TEST_CASE("schedule expression: as a search day by day finds them") {
  for (const auto& row : vectors::cron_rows) {
    auto zone = of_machine(row.zone);
    REQUIRE_MESSAGE(zone.has_value(), "tzdata is missing");
    auto cron = parsed(row.expression);
    std::int64_t after = row.after;
    for (std::int64_t expected : row.next) {
      auto got = cron.next(after, *zone);
      CHECK_MESSAGE(got.value_or(0) == expected, row.expression << " in " << row.zone);
      if (!got) break;
      after = *got;
    }
  }
}
