// Circuit breakers of schedules: a tag of their group, one for each target.
#include "services/scheduler/fixture_test.h"

namespace mayfly::services::scheduler::test {

namespace {

struct Guarded : Bench {
  explicit Guarded(std::string breaker) { tag("mayfly:breaker", std::move(breaker)); }
  // Runs once, then; up to three attempts.
  void once(std::string name, int second, std::int64_t max_age = 3600) {
    auto target = Bench::target(Bench::function_arn(), "\"" + name + "\"");
    target
        .set_retry_policy(
            model::RetryPolicy().set_maximum_retry_attempts(2).set_maximum_event_age_in_seconds(
                max_age))
        .set_dead_letter_config(model::DeadLetterConfig().set_arn(Bench::queue_arn("dead")));
    create(Bench::ask(name, fmt::format("at(2026-01-01T00:01:{:02})", second))
               .set_target(std::move(target)));
  }
  void break_function() { function.refuse = Error{ErrorKind::unavailable, "not now", {}}; }
  std::size_t open() const { return scheduler->totals().open_breakers; }
};

}  // namespace

TEST_CASE("breaker of schedules: while it is open, runs wait and use up no retries") {
  Guarded b("2/60s open=30s");
  b.break_function();
  b.once("a", 0);
  b.once("b", 0);
  b.once("c", 1);
  b.pass(60s);
  CHECK(b.runs() == 2);
  CHECK(b.open() == 1);
  b.live(29s);
  CHECK(b.runs() == 2);
  CHECK(b.rows("run/") == 3);
  b.live(1s);
  CHECK(b.runs() == 3);  // one probe, which fails
  b.live(29s);
  CHECK(b.runs() == 3);
  b.function.refuse.reset();
  b.live(1s);
  CHECK(b.runs() == 6);
  CHECK(b.open() == 0);
  CHECK(b.rows("run/") == 0);
  CHECK(b.queue.got.empty());
  for (const char* name : {"a", "b", "c"}) CHECK(b.outcomes(name) == "delivered");
}

TEST_CASE("breaker of schedules: what waits grows too old, and has a dead letter") {
  Guarded b("1/60s open=24h");
  b.break_function();
  b.once("a", 0);
  b.once("old", 1, 60);
  b.live(62s);
  CHECK(b.runs() == 1);
  b.live(2min);
  CHECK(b.runs() == 1);
  REQUIRE(b.queue.got.size() == 1);
  CHECK(b.queue.got[0].payload == "\"old\"");
  CHECK(b.outcomes("old") == "failed");
  CHECK(b.rows("run/") == 1);
  b.restart();
  b.function.refuse.reset();
  b.pass(1h);
  CHECK(b.runs() == 1);
  CHECK(b.queue.got.size() == 2);
  CHECK(b.outcomes("a") == "failed");
  CHECK(b.rows("run/") == 0);
}

TEST_CASE("breaker of schedules: meanwhile the fallback gets the runs") {
  Guarded b("1/60s open=1h fallback=" + Bench::queue_arn("instead"));
  b.break_function();
  b.once("a", 0);
  b.once("b", 1);
  b.live(61s);
  REQUIRE(b.queue.got.size() == 2);  // and the retry of the first one
  for (const auto& one : b.queue.got) CHECK(one.arn == Bench::queue_arn("instead"));
  CHECK(b.runs() == 1);
  CHECK(b.outcomes("b") == "delivered");
}

TEST_CASE("breaker of schedules: while one tries it out, the others wait for how that ends") {
  Guarded b("1/60s open=30s");
  b.break_function();
  for (int i = 0; i < 5; ++i) b.once(fmt::format("s{}", i), 0);
  b.pass(60s);
  CHECK(b.runs() == 1);
  b.function.refuse.reset();
  b.function.hold = true;
  b.live(30s);
  CHECK(b.runs() == 2);
  b.function.hold = false;
  b.lot.wake_all();
  b.loop.run_ready();
  CHECK(b.runs() == 6);
  CHECK(b.rows("run/") == 0);
}

TEST_CASE("breaker of schedules: tags that are none are refused") {
  Bench b;
  auto refused = [&b](std::string name, std::string value) {
    return b.message("TagResource", model::TagResourceInput()
                                        .set_resource_arn(GroupRef{b.scope, "default"}.arn())
                                        .set_tags({model::Tag().set_key(name).set_value(value)}));
  };
  CHECK(refused("mayfly:breaker", "often").find("is 'often'") != std::string::npos);
  CHECK(refused("mayfly:breaker", "1/1s fallback=arn:aws:kinesis:r:1:s") ==
        "The fallback arn:aws:kinesis:r:1:s is nothing that this server could push to.");
  CHECK(refused("mayfly:key", "a") == "the tag mayfly:key is no setting of a schedule group.");
  CHECK(refused("mayfly:breaker", "1/1s fallback=" + Bench::queue_arn()) == "(success)");
}

}  // namespace mayfly::services::scheduler::test
