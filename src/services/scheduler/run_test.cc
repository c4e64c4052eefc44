// Schedules run, on a clock that is moved by hand.
#include "services/scheduler/fixture_test.h"

namespace mayfly::services::scheduler::test {

TEST_CASE("a rate begins at once and goes on; the target gets the input as the role") {
  Bench b;
  b.create(Bench::ask("s", "rate(5 minutes)"));
  b.pass(0s);
  REQUIRE(b.runs() == 1);
  CHECK(b.function.got[0].arn == Bench::function_arn());
  CHECK(b.function.got[0].payload == R"({"a":1})");
  CHECK(b.function.got[0].sender.service == "scheduler.amazonaws.com");
  CHECK(b.function.got[0].sender.source_arn ==
        "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s");
  CHECK(b.function.got[0].sender.role_arn == "arn:aws:iam::123456789012:role/r");
  b.pass(299s);
  CHECK(b.runs() == 1);
  b.pass(1s);
  CHECK(b.runs() == 2);
  CHECK(b.rows("run/") == 0);
  CHECK(b.outcomes("s") == "delivered delivered");
}

TEST_CASE("one time, and deleted after completion") {
  Bench b;
  b.create(Bench::ask("once", "at(2026-01-01T00:01:00)"));
  b.create(Bench::ask("gone", "at(2026-01-01T00:01:00)").set_action_after_completion("DELETE"));
  b.pass(59s);
  CHECK(b.runs() == 0);
  b.pass(1s);
  CHECK(b.runs() == 2);
  b.live(10s);
  CHECK(b.runs() == 2);
  CHECK(b.there("once"));
  CHECK(b.get("once").state() == "ENABLED");
  CHECK(!b.there("gone"));
  CHECK(b.rows("next/") == 1);
  CHECK(b.rows("due/") == 0);
  CHECK(b.rows("history/") == 1);
}

TEST_CASE("a recurring schedule is complete after its end") {
  Bench b;
  double begin = 1'767'225'600;
  b.create(Bench::ask("s", "rate(1 minutes)")
               .set_start_date(begin + 30)
               .set_end_date(begin + 150)
               .set_action_after_completion("DELETE"));
  b.live(10min);
  CHECK(b.runs() == 3);  // after 30, 90 and 150 seconds
  CHECK(!b.there("s"));
}

TEST_CASE("context attributes, and what stands for no input") {
  Bench b;
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)")
               .set_target(
                   Bench::target(Bench::queue_arn(),
                                 "<aws.scheduler.schedule-arn> <aws.scheduler.scheduled-time> "
                                 "<aws.scheduler.attempt-number> <aws.scheduler.execution-id>")));
  model::Target bare;
  bare.set_arn(Bench::function_arn()).set_role_arn("arn:aws:iam::123456789012:role/r");
  b.create(Bench::ask("n", "at(2026-01-01T00:01:00)").set_target(std::move(bare)));
  b.pass(60s);
  REQUIRE(b.queue.got.size() == 1);
  auto words = wire::split(b.queue.got[0].payload, ' ');
  CHECK(words[0] == "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s");
  CHECK(words[1] == "2026-01-01T00:01:00Z");
  CHECK(words[2] == "1");
  CHECK(words[3].size() == 16);
  REQUIRE(b.runs() == 1);
  auto json = wire::parse_json(b.function.got[0].payload);
  CHECK(json->string_or("source") == "aws.scheduler");
  CHECK(json->string_or("detail-type") == "Scheduled Event");
  CHECK(json->string_or("detail") == "{}");
  CHECK(json->string_or("time") == "2026-01-01T00:01:00Z");
}

TEST_CASE("a failing target is tried again, later and later, and then its dead letter is written") {
  Bench b;
  b.function.refuse = Error{ErrorKind::unavailable, "not now", {}};
  auto target = Bench::target(Bench::function_arn());
  target.set_retry_policy(model::RetryPolicy().set_maximum_retry_attempts(3))
      .set_dead_letter_config(model::DeadLetterConfig().set_arn(Bench::queue_arn("dead")));
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)").set_target(std::move(target)));
  b.pass(60s);
  CHECK(b.runs() == 1);
  CHECK(b.rows("run/") == 1);
  b.pass(1s);
  CHECK(b.runs() == 2);
  b.pass(1s);
  CHECK(b.runs() == 2);  // two seconds, less up to a fifth
  b.pass(1s);
  CHECK(b.runs() == 3);
  CHECK(b.queue.got.empty());
  b.live(4s);
  CHECK(b.runs() == 4);
  REQUIRE(b.queue.got.size() == 1);
  CHECK(b.queue.got[0].arn == Bench::queue_arn("dead"));
  CHECK(b.queue.got[0].payload == R"({"a":1})");
  std::map<std::string, std::string> attributes;
  for (const auto& one : b.queue.got[0].attributes) attributes[one.name] = one.value;
  CHECK(attributes["ERROR_CODE"] == "InternalServiceError");
  CHECK(attributes["ERROR_MESSAGE"] == "not now");
  CHECK(attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts");
  CHECK(attributes["RETRY_ATTEMPTS"] == "3");
  CHECK(attributes["SCHEDULED_TIME"] == "2026-01-01T00:01:00Z");
  CHECK(attributes["IS_PAYLOAD_TRUNCATED"] == "false");
  CHECK(attributes["TARGET_ARN"] == Bench::function_arn());
  CHECK(attributes["EXECUTION_ID"].size() == 16);
  CHECK(b.rows("run/") == 0);
  CHECK(b.outcomes("s") == "failed");
}

TEST_CASE("retries end with the maximum age; what cannot go better is not tried again") {
  Bench b;
  b.function.refuse = Error{ErrorKind::throttled, "busy", {}};
  auto target = Bench::target(Bench::function_arn());
  target.set_retry_policy(model::RetryPolicy().set_maximum_event_age_in_seconds(60))
      .set_dead_letter_config(model::DeadLetterConfig().set_arn(Bench::queue_arn("dead")));
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)").set_target(std::move(target)));
  b.live(3min);
  REQUIRE(b.queue.got.size() == 1);
  CHECK(b.runs() >= 6);  // after 1, 3, 7, 15, 31 seconds
  b.function.refuse = Error{ErrorKind::too_large, "too much", {}};
  b.function.got.clear();
  b.create(Bench::ask("t", "at(2026-01-01T00:05:00)"));
  b.live(3min);
  CHECK(b.runs() == 1);
  CHECK(b.outcomes("t") == "failed");
}

TEST_CASE("a retry goes on as it began when its schedule is deleted") {
  Bench b;
  b.function.refuse = Error{ErrorKind::unavailable, "not now", {}};
  b.create(Bench::ask("s", "at(2026-01-01T00:00:10)"));
  b.pass(10s);
  CHECK(b.code("DeleteSchedule", model::DeleteScheduleInput().set_name("s")) == "(success)");
  b.function.refuse.reset();
  b.pass(1s);
  CHECK(b.runs() == 2);
  CHECK(b.rows("") == 1);  // when the database was made
}

TEST_CASE("a run that was under way when the server was killed is run after its start") {
  Bench b;
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)").set_action_after_completion("DELETE"));
  b.function.hold = true;
  b.pass(60s);
  CHECK(b.runs() == 1);
  REQUIRE(b.rows("run/") == 1);
  // The rows as they are now, in another life.
  Bench other;
  for (auto& row : *b.disk.scan("", "", 100)) {
    store::Batch batch;
    batch.puts.push_back({row.key, row.value});
    REQUIRE(other.loop.run_until(other.disk.commit(std::move(batch))).has_value());
  }
  other.restart(2min);
  CHECK(other.runs() == 1);
  CHECK(!other.there("s"));
  CHECK(other.rows("run/") == 0);
}

TEST_CASE("missed runs: all within their age, once, or none") {
  for (auto [policy, expected] :
       std::map<std::string, std::size_t>{{"all", 61}, {"once", 2}, {"skip", 2}}) {
    CAPTURE(policy);
    Bench b;
    b.tag("mayfly:missed-runs", policy);
    b.create(Bench::ask("s", "rate(1 minutes)"));
    b.pass(0s);
    CHECK(b.runs() == 1);
    b.restart(1h + 30s);
    b.pass(0s);
    CHECK(b.runs() == expected);
    b.live(60s);
    CHECK(b.runs() == expected + 1);
  }
}

TEST_CASE("nothing that is missed by more than its age is run") {
  Bench b;
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)"));
  auto target = Bench::target(Bench::function_arn());
  target.set_retry_policy(model::RetryPolicy().set_maximum_event_age_in_seconds(600));
  b.create(Bench::ask("t", "rate(5 minutes)").set_target(std::move(target)));
  b.pass(0s);
  CHECK(b.runs() == 1);
  b.restart(30h);
  CHECK(b.outcomes("s") == "missed");
  CHECK(b.runs() == 4);  // of t: at 10, 5 and 0 minutes ago
}

TEST_CASE("a flexible window lets runs begin within it") {
  Bench b;
  b.create(
      Bench::ask("s", "cron(0 * * * ? *)")
          .set_flexible_time_window(
              model::FlexibleTimeWindow().set_mode("FLEXIBLE").set_maximum_window_in_minutes(15)));
  std::set<std::int64_t> begun;
  for (std::size_t hour = 1; hour <= 12; ++hour) {
    auto next = b.scheduler->schedules().next_of({b.scope, "default", "s"});
    REQUIRE(next.has_value());
    CHECK(next->at == 1'767'225'600 + static_cast<std::int64_t>(hour) * 3600);
    std::int64_t part = *next->due_ms - next->at * 1000;
    CHECK(part >= 0);
    CHECK(part < 15 * 60'000);
    begun.insert(part);
    b.pass(from_epoch_millis(*next->due_ms) - b.clock.wall() - 1ms);
    CHECK(b.runs() == hour - 1);
    b.pass(1ms);
    CHECK(b.runs() == hour);
  }
  CHECK(begun.size() > 1);
}

TEST_CASE("many that are due at once are all run, so many at a time as there is room") {
  Bench b;
  for (int i = 0; i < 600; ++i) {
    b.create(Bench::ask(fmt::format("s{}", i), "at(2026-01-01T00:01:00)"));
  }
  b.function.hold = true;
  b.pass(60s);
  CHECK(b.runs() == limits::schedule_flying);
  b.function.hold = false;
  b.lot.wake_all();
  b.loop.run_ready();
  CHECK(b.runs() == 600);
  CHECK(b.rows("run/") == 0);
  CHECK(b.rows("due/") == 0);
}

TEST_CASE("targets that take long hold up nobody else for long") {
  Bench b;
  for (std::size_t i = 0; i < limits::schedule_flying; ++i) {
    auto queue = Bench::target(Bench::queue_arn());
    b.create(Bench::ask(fmt::format("slow{}", i), "at(2026-01-01T00:01:00)")
                 .set_target(std::move(queue)));
  }
  b.create(Bench::ask("s", "at(2026-01-01T00:01:01)"));
  b.queue.hold = true;
  b.pass(60s);
  b.pass(1s);
  CHECK(b.queue.got.size() == limits::schedule_flying);
  CHECK(b.runs() == 0);
  b.live(6s);
  CHECK(b.runs() == 1);
  CHECK(b.scheduler->totals().under_way == limits::schedule_flying);
  CHECK(b.scheduler->totals().delivered == 1);
}

TEST_CASE("no run beside another, where the group says so") {
  Bench b;
  b.tag("mayfly:overlap", "skip");
  b.function.hold = true;
  b.create(Bench::ask("s", "rate(1 minutes)"));
  b.pass(0s);
  REQUIRE(b.runs() == 1);
  CHECK(b.function.got[0].wait);
  b.live(120s, 60s);
  CHECK(b.runs() == 1);
  CHECK(b.rows("open/") == 1);
  b.function.hold = false;
  b.lot.wake_all();
  b.loop.run_ready();
  CHECK(b.rows("open/") == 0);
  CHECK(b.outcomes("s") == "overlapped overlapped delivered");
  b.pass(60s);
  CHECK(b.runs() == 2);
}

TEST_CASE("a function that is waited for and fails is called three times") {
  Bench b;
  b.tag("mayfly:overlap", "skip");
  b.function.outcome.kind = events::Outcome::Kind::function_error;
  b.function.outcome.error_type = "ValueError";
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)"));
  b.pass(60s);
  b.live(60s);
  CHECK(b.runs() == 3);
  CHECK(b.outcomes("s") == "failed");
  CHECK(b.rows("open/") == 0);
  CHECK(b.rows("run/") == 0);
}

TEST_CASE("a disk that is full for a while loses nothing") {
  Bench b;
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)"));
  b.disk.fail_writes_with = Error{ErrorKind::unavailable, "no room", {}};
  b.pass(60s);
  CHECK(b.runs() == 0);  // what is not claimed durably does not begin
  b.disk.fail_writes_with.reset();
  b.pass(1s);
  CHECK(b.runs() == 1);
  CHECK(b.rows("run/") == 0);
}

TEST_CASE("seconds, beyond the cloud") {
  Bench b;
  b.create(Bench::ask("s", "rate(10 seconds)"));
  b.create(Bench::ask("c", "cron(5/20 * * * * ? *)"));
  b.live(60s);
  CHECK(b.runs() == 7 + 3);
}

TEST_CASE("universal targets are operations with the input as parameters") {
  Bench b;
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)")
               .set_target(Bench::target("arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
                                         R"({"MessageBody":"<aws.scheduler.attempt-number>"})")));
  b.calls.refuse = api::ApiError{"ThrottlingException", 400, "slow down", true, {}};
  b.pass(60s);
  REQUIRE(b.calls.got.size() == 1);
  CHECK(b.calls.got[0].service == "sqs");
  CHECK(b.calls.got[0].operation == "sendMessage");
  CHECK(b.calls.got[0].caller.arn == "arn:aws:sts::123456789012:assumed-role/r/scheduler");
  b.calls.refuse.reset();
  b.pass(1s);
  REQUIRE(b.calls.got.size() == 2);
  CHECK(b.calls.got[1].input == R"({"MessageBody":"2"})");
}

TEST_CASE("event buses get what makes an event, FIFO queues a group") {
  Bench b;
  auto bus = Bench::target("arn:aws:events:us-east-1:123456789012:event-bus/default");
  bus.set_event_bridge_parameters(
      model::EventBridgeParameters().set_detail_type("kind").set_source("my.app"));
  b.create(Bench::ask("s", "at(2026-01-01T00:01:00)").set_target(std::move(bus)));
  auto queue = Bench::target(Bench::queue_arn("q.fifo"), "text");
  queue.set_sqs_parameters(model::SqsParameters().set_message_group_id("g"));
  b.create(Bench::ask("t", "at(2026-01-01T00:01:00)").set_target(std::move(queue)));
  b.pass(60s);
  REQUIRE(b.bus.got.size() == 1);
  CHECK(b.bus.got[0].payload == R"({"a":1})");
  std::map<std::string, std::string> attributes;
  for (const auto& one : b.bus.got[0].attributes) attributes[one.name] = one.value;
  CHECK(attributes["detail-type"] == "kind");
  CHECK(attributes["source"] == "my.app");
  CHECK(attributes["resources"] ==
        R"(["arn:aws:scheduler:us-east-1:123456789012:schedule/default/s"])");
  REQUIRE(b.queue.got.size() == 1);
  CHECK(b.queue.got[0].group_id == "g");
}

TEST_CASE("attempts are counted by group, and what became of runs") {
  using Steps = std::map<std::string, int>;
  Bench b;
  b.create(Bench::ask("good", "at(2026-01-01T00:01:00)"));
  b.live(2min, 60s);
  CHECK(b.steps == Steps{{"default attempted", 1}});
  b.steps.clear();
  b.function.refuse = Error{ErrorKind::throttled, "busy", {}};
  auto in = Bench::ask("bad", "at(2026-01-01T00:05:00)");
  in.set_target(
      Bench::target(Bench::function_arn())
          .set_retry_policy(model::RetryPolicy().set_maximum_retry_attempts(1))
          .set_dead_letter_config(model::DeadLetterConfig().set_arn(Bench::queue_arn("dead"))));
  b.create(std::move(in));
  b.live(10min, 60s);
  CHECK(b.steps == Steps{{"default attempted", 2},
                         {"default throttled", 2},
                         {"default dropped", 1},
                         {"default dead_lettered", 1}});
  b.steps.clear();
  b.function.refuse = Error{ErrorKind::invalid, "no", {}};
  b.queue.refuse = Error{ErrorKind::not_found, "gone", {}};
  in = Bench::ask("worse", "at(2026-01-01T01:00:00)");
  in.set_target(
      Bench::target(Bench::function_arn())
          .set_dead_letter_config(model::DeadLetterConfig().set_arn(Bench::queue_arn("dead"))));
  b.create(std::move(in));
  b.live(60min, 60s);
  CHECK(b.steps == Steps{{"default attempted", 1},
                         {"default target_error", 1},
                         {"default dropped", 1},
                         {"default dead_letter_failed", 1}});
}

}  // namespace mayfly::services::scheduler::test
