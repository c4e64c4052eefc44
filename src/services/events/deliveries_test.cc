#include "services/events/fixture_test.h"

using namespace mayfly;
using namespace mayfly::services::bus;
using namespace mayfly::services::bus::test;

namespace {

constexpr std::string_view to_queue =
    R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])";
constexpr std::string_view with_letters =
    R"([{"Id":"1","Arn":"arn:aws:lambda:us-east-1:123456789012:function:f",)"
    R"("RetryPolicy":{"MaximumRetryAttempts":3,"MaximumEventAgeInSeconds":3600},)"
    R"("DeadLetterConfig":{"Arn":"arn:aws:sqs:us-east-1:123456789012:dead"}}])";

std::string attribute(const events::Delivery& delivery, std::string_view name) {
  for (const auto& one : delivery.attributes) {
    if (one.name == name) return one.value;
  }
  return "(absent)";
}

}  // namespace

TEST_CASE("deliveries: what a rule wants reaches its target, and leaves no row") {
  Bench bench;
  bench.rule("r", R"({"source":["s"],"detail":{"n":[1]}})", to_queue);
  bench.put(R"({"n":2})");
  CHECK(bench.queue.got.empty());
  CHECK(bench.rows("ev/") == 0);
  auto id = bench.put(R"({"n": 1})");
  REQUIRE(bench.queue.got.size() == 1);
  const auto& got = bench.queue.got.front();
  CHECK(Bench::json(got.payload).string_or("id") == id);
  CHECK(got.payload.ends_with(R"("resources":[],"detail":{"n": 1}})"));
  CHECK(got.sender.service == "events.amazonaws.com");
  CHECK(got.sender.source_arn == "arn:aws:events:us-east-1:123456789012:rule/r");
  CHECK(bench.rows("ev/") == 0);
  CHECK(bench.rows("dl/") == 0);
  CHECK(bench.bus->deliveries_waiting() == 0);
}

TEST_CASE("deliveries: tried again, later each time, then a dead letter") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", with_letters);
  bench.function.error = Error{ErrorKind::unavailable, "not now", {}};
  auto id = bench.put("{}");
  CHECK(bench.function.got.size() == 1);
  bench.pass(400ms);
  CHECK(bench.function.got.size() == 1);
  for (std::size_t tries = 2; tries <= 4; ++tries) {
    bench.pass(8s);
    CHECK(bench.function.got.size() == tries);
  }
  REQUIRE(bench.queue.got.size() == 1);
  const auto& letter = bench.queue.got.front();
  CHECK(letter.arn == "arn:aws:sqs:us-east-1:123456789012:dead");
  CHECK(Bench::json(letter.payload).string_or("id") == id);
  CHECK(attribute(letter, "ERROR_CODE") == "ERROR_FROM_TARGET");
  CHECK(attribute(letter, "ERROR_MESSAGE") == "not now");
  CHECK(attribute(letter, "RETRY_ATTEMPTS") == "3");
  CHECK(attribute(letter, "EXHAUSTED_RETRY_CONDITION") == "MaximumRetryAttempts");
  CHECK(bench.rows("dl/") == 0);
  CHECK(bench.rows("ev/") == 0);
}

TEST_CASE("deliveries: what will not pass is not tried again") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", with_letters);
  bench.function.error = Error{ErrorKind::denied, "no", {}};
  bench.put("{}");
  CHECK(bench.function.got.size() == 1);
  REQUIRE(bench.queue.got.size() == 1);
  CHECK(attribute(bench.queue.got.front(), "ERROR_CODE") == "NO_PERMISSIONS");
  CHECK(attribute(bench.queue.got.front(), "EXHAUSTED_RETRY_CONDITION") == "(absent)");
}

TEST_CASE("deliveries: a restart goes on where rows are") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", with_letters);
  bench.function.error = Error{ErrorKind::throttled, "full", {}};
  auto id = bench.put(R"({"n":1})");
  CHECK(bench.rows("dl/") == 1);
  bench.restart();
  CHECK(bench.bus->deliveries_waiting() == 1);
  bench.function.error.reset();
  bench.pass(2s);
  REQUIRE(bench.function.got.size() == 2);
  CHECK(Bench::json(bench.function.got.back().payload).string_or("id") == id);
  CHECK(bench.rows("dl/") == 0);
}

TEST_CASE("deliveries: a target that is taken away gets nothing more") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})", with_letters);
  bench.function.error = Error{ErrorKind::throttled, "full", {}};
  bench.put("{}");
  bench.ok("RemoveTargets", Bench::json(R"({"Rule":"r","Ids":["1"]})"));
  bench.pass(1min);
  CHECK(bench.function.got.size() == 1);
  CHECK(bench.queue.got.empty());
  CHECK(bench.rows("dl/") == 0);
}

TEST_CASE("deliveries: from bus to bus, but not for ever") {
  Bench bench;
  bench.rule("again", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:events:us-east-1:123456789012:event-bus/default"},)"
             R"({"Id":"2","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])");
  bench.put("{}");
  CHECK(bench.queue.got.size() == 17);  // once, and for each of 16 hops
  CHECK(bench.rows("dl/") == 0);
}

TEST_CASE("events of others: a payload becomes the detail") {
  Bench bench;
  bench.rule("r", R"({"source":["lambda"]})", to_queue);
  events::Delivery delivery{
      .arn = "arn:aws:events:us-east-1:123456789012:event-bus/default",
      .payload = R"({"answer":42})",
      .sender = {.service = "lambda.amazonaws.com",
                 .source_arn = "arn:aws:lambda:us-east-1:123456789012:function:f",
                 .account = AccountId("123456789012"),
                 .role_arn = "arn:aws:iam::123456789012:role/r"},
      .trace_header = "",
      .attributes = {{"source", "String", "lambda"},
                     {"detail-type", "String", "Lambda Function Invocation Result - Success"},
                     {"resources", "String", R"(["arn:one","arn:two"])"}}};
  auto done = bench.loop.run_until(bench.switchboard.push(delivery));
  CHECK(done.has_value());
  bench.loop.run_ready();
  REQUIRE(bench.queue.got.size() == 1);
  auto event = Bench::json(bench.queue.got.front().payload);
  CHECK(event.string_or("detail-type") == "Lambda Function Invocation Result - Success");
  CHECK(event.find("resources")->dump() == R"(["arn:one","arn:two"])");
  CHECK(event.find("detail")->dump() == R"({"answer":42})");
  delivery.attributes.clear();
  CHECK(bench.loop.run_until(bench.switchboard.push(delivery)).error().kind == ErrorKind::invalid);
  bench.guard.allowed = false;
  CHECK(bench.loop.run_until(bench.switchboard.push(delivery)).error().kind == ErrorKind::denied);
}
