#include "services/scheduler/schedule.h"

#include <doctest/doctest.h>

#include "services/scheduler/rows.h"

using namespace mayfly;
using namespace mayfly::services::scheduler;

namespace {

constexpr std::int64_t hour = 3600;

Schedule every(std::string expression) {
  Schedule out;
  out.id = "x";
  out.expression = std::move(expression);
  out.target.arn = "arn:aws:sqs:us-east-1:123456789012:q";
  out.target.role_arn = "arn:aws:iam::123456789012:role/r";
  return out;
}

Times times_of(const Schedule& schedule) {
  auto out =
      Times::of(schedule, [](std::string_view) -> Result<std::shared_ptr<const wire::TimeZone>> {
        return wire::TimeZone::utc();
      });
  REQUIRE(out.has_value());
  return *std::move(out);
}

}  // namespace

TEST_CASE("a schedule comes out of the store as it went in") {
  Schedule schedule = every("rate(5 minutes)");
  schedule.zone = "Europe/Berlin";
  schedule.description = "";
  schedule.start_ms = 5;
  schedule.end_ms = 6;
  schedule.window_minutes = 7;
  schedule.enabled = false;
  schedule.delete_after_completion = true;
  schedule.kms_key_arn = "k";
  schedule.target.input = "{}";
  schedule.target.dead_letter_arn = "d";
  schedule.target.max_age_seconds = 60;
  schedule.target.max_retries = 0;
  schedule.target.message_group = "g";
  schedule.target.detail_type = "t";
  schedule.target.source = "s";
  schedule.token = "c";
  schedule.first_s = 9;
  auto again = decode_schedule(encode(schedule));
  REQUIRE(again.has_value());
  CHECK(encode(*again) == encode(schedule));
  CHECK(again->target == schedule.target);
  CHECK(digest_of(*again) == digest_of(schedule));
  again->enabled = true;
  CHECK(digest_of(*again) != digest_of(schedule));
  CHECK(!decode_schedule("{}"));
  CHECK(!decode_schedule("x"));
}

TEST_CASE("rows have their time and their names in their keys") {
  ScheduleRef ref{{AccountId("123456789012"), Region("us-east-1")}, "g", "n.a-m_e"};
  auto due = parse_due(due_key(1'800'000'000'123, ref));
  REQUIRE(due);
  CHECK(due->due_ms == 1'800'000'000'123);
  CHECK(due->ref == ref);
  CHECK(due_key(999, ref) < due_key(1'800'000'000'123, ref));
  CHECK(!parse_due("due/x"));
  Next next = decode_next(encode(Next{.due_ms = 5, .at = 6, .runs = 7}));
  CHECK(next.due_ms == 5);
  CHECK(next.at == 6);
  CHECK(next.runs == 7);
  CHECK(!decode_next(encode(Next{})).due_ms);
  Run run{.id = "i",
          .ref = ref,
          .schedule_id = "s",
          .at = 1,
          .due_ms = 2,
          .try_ms = 3,
          .attempt = 4,
          .number = 5,
          .last = true,
          .target = every("x").target};
  auto again = decode_run(run_key(3, "i"), encode(run));
  REQUIRE(again.has_value());
  CHECK(again->id == "i");
  CHECK(again->try_ms == 3);
  CHECK(again->attempt == 4);
  CHECK(again->last);
  CHECK(again->target == run.target);
  CHECK(parse_schedule_arn(ref.arn()) == ref);
  CHECK(parse_group_arn(ref.in().arn()) == ref.in());
  CHECK(!parse_group_arn(ref.arn()));
  auto universal = parse_universal("arn:aws:scheduler:::aws-sdk:sqs:sendMessage");
  REQUIRE(universal);
  CHECK(universal->service == "sqs");
  CHECK(universal->action == "sendMessage");
  CHECK(!parse_universal("arn:aws:scheduler:::aws-sdk:sqs"));
}

TEST_CASE("times lie between the dates, which one-time schedules have none of") {
  Schedule schedule = every("rate(1 hours)");
  schedule.first_s = 100;
  schedule.start_ms = 500'500;
  schedule.end_ms = (501 + 2 * hour) * 1000;
  auto times = times_of(schedule);
  CHECK(times.next(0) == 501);
  CHECK(times.next(501) == 501 + hour);
  CHECK(times.next(501 + hour) == 501 + 2 * hour);
  CHECK(!times.next(501 + 2 * hour));
  CHECK(times.last(0, 501 + hour + 5) == 501 + hour);
  CHECK(!times.last(501, 501 + hour - 1));
  schedule.expression = "at(1970-01-01T01:00:00)";
  CHECK(times_of(schedule).next(0) == hour);
  CHECK(times_of(schedule).first(hour) == hour);
  CHECK(!times_of(schedule).first(hour + 1));
  schedule.expression = "cron(0 * * * ? *)";
  CHECK(times_of(schedule).next(0) == hour);
}

TEST_CASE("the last time before another is found however far back it lies") {
  auto yearly = times_of(every("cron(0 0 29 2 ? *)"));
  std::int64_t leap_day = 1'709'164'800;  // 2024-02-29
  CHECK(yearly.last(0, leap_day + 900 * 24 * hour) == leap_day);
  auto often = times_of(every("cron(* * * * * ? *)"));
  CHECK(often.last(0, leap_day) == leap_day);
}

TEST_CASE("what was missed is run for all times, once or not at all") {
  auto times = times_of(every("cron(0 * * * ? *)"));
  std::int64_t at = 1'800'000'000 / hour * hour;
  auto turn = [&](std::int64_t late, Missed missed, std::int64_t age = 24 * hour) {
    return take_turn(times, at, at * 1000, (at + late) * 1000, age, missed);
  };
  for (Missed missed : {Missed::all, Missed::once, Missed::skip}) {
    CHECK(turn(60, missed).run == at);
    CHECK(turn(60, missed).next == at + hour);
  }
  CHECK(turn(5 * hour, Missed::all).run == at);
  CHECK(turn(5 * hour, Missed::all).next == at + hour);
  CHECK(turn(5 * hour + 61, Missed::once).run == at + 5 * hour);
  CHECK(turn(5 * hour + 61, Missed::once).missed == at);
  CHECK(turn(5 * hour + 61, Missed::once).next == at + 6 * hour);
  CHECK(!turn(5 * hour + 61, Missed::skip).run);
  CHECK(turn(5 * hour + 61, Missed::skip).missed == at);
  CHECK(turn(5 * hour + 61, Missed::skip).next == at + 6 * hour);
  // The time that came just now is not late.
  CHECK(turn(5 * hour, Missed::skip).next == at + 5 * hour);
  // Older than its maximum age: nothing waits that long.
  CHECK(!turn(5 * hour, Missed::all, 2 * hour).run);
  CHECK(turn(5 * hour, Missed::all, 2 * hour).missed == at);
  CHECK(turn(5 * hour, Missed::all, 2 * hour).next == at + 3 * hour);
  CHECK(!turn(90, Missed::once, 60).run);
  CHECK(turn(90, Missed::once, 60).next == at + hour);
}

TEST_CASE("policies of missed runs have three names") {
  CHECK(parse_missed("all") == Missed::all);
  CHECK(parse_missed("once") == Missed::once);
  CHECK(parse_missed("skip") == Missed::skip);
  CHECK(!parse_missed("none"));
}
