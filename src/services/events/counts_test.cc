#include "services/events/counts.h"

#include "services/events/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::bus;
using test::Bench;
using namespace std::chrono_literals;

using Steps = std::map<std::string, int>;

TEST_CASE("events counts: what is published, matched, triggered and invoked; how long it took") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"},
                 {"Id":"2","Arn":"arn:aws:sqs:us-east-1:123456789012:p"}])");
  bench.rule("other", R"({"source":["x"]})", "[]");
  bench.put(R"({"n":1})");
  bench.ok("CreateEventBus", Bench::json(R"({"Name":"b"})"));
  bench.put(R"({"n":2})", "b");
  CHECK(bench.steps == Steps{{"default  published", 1},
                             {"default  matched", 1},
                             {"default r triggered", 1},
                             {"default r invoked", 2},
                             {"b  published", 1}});
  CHECK(bench.latencies == std::vector<double>{0, 0});
}

TEST_CASE("events counts: throttled, retried, failed, dead letters") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:lambda:us-east-1:123456789012:function:f",
                  "RetryPolicy":{"MaximumRetryAttempts":2},
                  "DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:123456789012:dead"}}])");
  bench.function.error = Error{ErrorKind::throttled, "busy", {}};
  bench.put(R"({"n":1})");
  bench.pass(1min);
  bench.pass(1min);
  CHECK(bench.queue.got.size() == 1);
  CHECK(bench.steps == Steps{{"default  published", 1},
                             {"default  matched", 1},
                             {"default r triggered", 1},
                             {"default r throttled", 3},
                             {"default r retried", 2},
                             {"default r invoked", 1},
                             {"default r failed", 1},
                             {"default r dead_lettered", 1}});
  bench.steps.clear();
  bench.function.error = Error{ErrorKind::denied, "no", {}};
  bench.queue.error = Error{ErrorKind::not_found, "gone", {}};
  bench.put(R"({"n":2})");
  CHECK(bench.steps == Steps{{"default  published", 1},
                             {"default  matched", 1},
                             {"default r triggered", 1},
                             {"default r invoked", 1},
                             {"default r failed", 1},
                             {"default r dead_letter_failed", 1}});
}

TEST_CASE("events counts: a rule's schedule triggers it; what is not stored counts nothing") {
  Bench bench;
  bench.ok("PutRule", Bench::json(R"x({"Name":"c","ScheduleExpression":"rate(1 minute)"})x"));
  bench.ok("PutTargets", Bench::json(R"({"Rule":"c","Targets":[{"Id":"1",)"
                                     R"("Arn":"arn:aws:sqs:us-east-1:123456789012:q"}]})"));
  bench.pass(1min);
  CHECK(bench.steps == Steps{{"default c triggered", 1}, {"default c invoked", 1}});
  bench.rule("r", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])");
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK(
      bench.error("PutEvents",
                  Bench::json(R"({"Entries":[{"Source":"s","DetailType":"t","Detail":"{}"}]})")) !=
      "(success)");
  bench.disk.fail_writes_with.reset();
  CHECK(bench.steps.size() == 2);
}
