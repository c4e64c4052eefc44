// Circuit breakers between a rule and its targets.
#include "services/events/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::bus;
using namespace mayfly::services::bus::test;

namespace {

constexpr std::string_view rule_arn = "arn:aws:events:us-east-1:123456789012:rule/r";
constexpr std::string_view to_function =
    R"([{"Id":"1","Arn":"arn:aws:lambda:us-east-1:123456789012:function:f",)"
    R"("RetryPolicy":{"MaximumRetryAttempts":1,"MaximumEventAgeInSeconds":3600},)"
    R"("DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:123456789012:dead"}}])";

struct Guarded : Bench {
  explicit Guarded(std::string_view breaker) {
    rule("r", R"({"source":["s"]})", to_function);
    tag(breaker);
  }
  Json tags(std::string_view breaker, std::string_view arn = rule_arn) {
    Json in;
    in["ResourceARN"] = arn;
    in["Tags"] = Json::array({Json::object({{"Key", "mayfly:breaker"}, {"Value", breaker}})});
    return in;
  }
  void tag(std::string_view breaker) { ok("TagResource", tags(breaker)); }
  void break_function() { function.error = Error{ErrorKind::unavailable, "not now", {}}; }
  std::size_t tries() const { return function.got.size(); }
};

}  // namespace

TEST_CASE("breaker of a rule: while it is open, deliveries wait and use up no retries") {
  Guarded bench("2/60s open=30s");
  bench.break_function();
  bench.put(R"({"n":1})");
  bench.put(R"({"n":2})");
  CHECK(bench.tries() == 2);
  CHECK(bench.bus->open_breakers() == 1);
  bench.put(R"({"n":3})");
  bench.pass(29s);
  CHECK(bench.tries() == 2);
  CHECK(bench.rows("dl/") == 3);
  // One probe, which fails: open again.
  bench.pass(1s);
  CHECK(bench.tries() == 3);
  CHECK(bench.queue.got.empty());
  bench.function.error.reset();
  bench.pass(30s);
  CHECK(bench.bus->open_breakers() == 0);
  CHECK(bench.rows("dl/") == 0);
  CHECK(bench.queue.got.empty());
  CHECK(bench.tries() == 3 + 3);
}

TEST_CASE("breaker of a rule: what waits grows too old, and has a dead letter") {
  Guarded bench("1/60s open=24h");
  bench.break_function();
  bench.put(R"({"n":1})");
  bench.pass(30min);
  bench.put(R"({"n":2})");
  CHECK(bench.tries() == 1);
  bench.pass(30min);
  REQUIRE(bench.queue.got.size() == 1);
  const auto& letter = bench.queue.got[0];
  CHECK(letter.arn == "arn:aws:sqs:us-east-1:123456789012:dead");
  for (const auto& one : letter.attributes) {
    if (one.name == "ERROR_CODE") CHECK(one.value == "CircuitOpen");
    if (one.name == "EXHAUSTED_RETRY_CONDITION") CHECK(one.value == "MaximumEventAgeInSeconds");
  }
  bench.pass(30min);
  CHECK(bench.queue.got.size() == 2);
  CHECK(bench.tries() == 1);
  CHECK(bench.rows("ev/") == 0);
}

TEST_CASE("breaker of a rule: meanwhile the fallback gets what is for the target") {
  Guarded bench("1/60s open=30s fallback=arn:aws:sqs:us-east-1:123456789012:instead");
  bench.break_function();
  bench.put(R"({"n":1})");
  CHECK(bench.queue.got.empty());
  bench.put(R"({"n":2})");
  REQUIRE(bench.queue.got.size() == 1);
  CHECK(bench.queue.got[0].arn == "arn:aws:sqs:us-east-1:123456789012:instead");
  CHECK(bench.queue.got[0].sender.source_arn == rule_arn);
  CHECK(Bench::json(bench.queue.got[0].payload).find("detail")->dump() == R"({"n":2})");
  // It takes nothing either: what comes then waits.
  bench.queue.error = Error{ErrorKind::not_found, "no such queue", {}};
  bench.put(R"({"n":3})");
  CHECK(bench.rows("dl/") == 2);  // and the first one, which waits for its retry
  bench.function.error.reset();
  bench.pass(30s);
  CHECK(bench.rows("dl/") == 0);
  CHECK(bench.bus->open_breakers() == 0);
}

TEST_CASE("breaker of a rule: a restart closes it; so does a change of its tag") {
  Guarded bench("1/60s open=1h");
  bench.break_function();
  bench.put("{}");
  bench.put("{}");
  CHECK(bench.tries() == 1);
  bench.function.error.reset();
  bench.restart();
  bench.pass(1s);
  CHECK(bench.rows("dl/") == 0);
  bench.break_function();
  bench.put("{}");
  bench.put("{}");
  CHECK(bench.bus->open_breakers() == 1);
  bench.function.error.reset();
  Json in;
  in["ResourceARN"] = rule_arn;
  in["TagKeys"] = Json::array({"mayfly:breaker"});
  bench.ok("UntagResource", in);
  bench.pass(1s);
  CHECK(bench.bus->open_breakers() == 0);
  CHECK(bench.rows("dl/") == 0);
}

TEST_CASE("breaker of a rule: what a target will never take does not open it") {
  Guarded bench("1/60s");
  bench.function.error = Error{ErrorKind::denied, "no", {}};
  bench.put("{}");
  CHECK(bench.bus->open_breakers() == 0);
  CHECK(bench.queue.got.size() == 1);
}

TEST_CASE("breaker of a rule: tags that are none are refused") {
  Guarded bench("1/60s");
  CHECK(bench.error("TagResource", bench.tags("often"))
            .starts_with("ValidationException: the tag mayfly:breaker is 'often'"));
  CHECK(bench.error("TagResource", bench.tags("1/1s fallback=q"))
            .starts_with("ValidationException: the fallback of the tag"));
  CHECK(bench.error("TagResource", bench.tags("1/1s fallback=arn:aws:kinesis:r:1:s"))
            .starts_with("ValidationException: The fallback arn:aws:kinesis:r:1:s is nothing"));
  CHECK(
      bench.error("TagResource",
                  bench.tags("1/1s", "arn:aws:events:us-east-1:123456789012:event-bus/default")) ==
      "ValidationException: the tag mayfly:breaker is no setting of an event bus.");
  Json in;
  in["Name"] = "other";
  in["EventPattern"] = R"({"source":["x"]})";
  in["Tags"] = Json::array({Json::object({{"Key", "mayfly:key"}, {"Value", "a"}})});
  CHECK(bench.error("PutRule", in) ==
        "ValidationException: the tag mayfly:key is no setting of a rule.");
}
