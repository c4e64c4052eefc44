#include "services/lambda/destinations.h"

#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

const std::string arn = "arn:aws:lambda:us-east-1:000000000000:function:";

model::DestinationConfig destinations(const std::string& success, const std::string& failure) {
  model::DestinationConfig out;
  if (!success.empty()) out.set_on_success(model::OnSuccess().set_destination(success));
  if (!failure.empty()) out.set_on_failure(model::OnFailure().set_destination(failure));
  return out;
}

model::PutFunctionEventInvokeConfigRequest put(const std::string& name, const std::string& success,
                                               const std::string& failure) {
  model::PutFunctionEventInvokeConfigRequest in;
  in.set_function_name(name).set_destination_config(destinations(success, failure));
  return in;
}

invoke::AsyncEvent event_of(const std::string& name) {
  invoke::AsyncEvent out{.scope = home, .name = FunctionName(name), .qualifier = {}, .event = {}};
  out.event.id = RequestId("event-1");
  out.event.payload = "{ \"order\": 7 }";
  return out;
}

invoke::AsyncTarget resolve(House& house, const std::string& name, std::string qualifier = {}) {
  auto target = house.loop.run_until(
      house.service->resolve_async(home, FunctionName(name), std::move(qualifier)));
  REQUIRE(target);
  return *target;
}

TEST_CASE("functions are destinations, shown and updated one by one") {
  House house;
  house.create("f");
  house.create("good");
  house.create("bad");
  auto out = house.ok<model::FunctionEventInvokeConfig>(
      "PutFunctionEventInvokeConfig", put("f", arn + "good", arn + "bad:$LATEST"));
  CHECK(*out.destination_config()->on_success()->destination() == arn + "good");
  CHECK(*out.destination_config()->on_failure()->destination() == arn + "bad:$LATEST");
  model::UpdateFunctionEventInvokeConfigRequest update;
  update.set_function_name("f").set_destination_config(destinations("", arn + "good"));
  out = house.ok<model::FunctionEventInvokeConfig>("UpdateFunctionEventInvokeConfig", update);
  CHECK(*out.destination_config()->on_success()->destination() == arn + "good");
  CHECK(*out.destination_config()->on_failure()->destination() == arn + "good");
  house.stop();
  house.start();
  model::GetFunctionEventInvokeConfigRequest get;
  get.set_function_name("f");
  out = house.ok<model::FunctionEventInvokeConfig>("GetFunctionEventInvokeConfig", get);
  CHECK(*out.destination_config()->on_failure()->destination() == arn + "good");
  out = house.ok<model::FunctionEventInvokeConfig>("PutFunctionEventInvokeConfig",
                                                   put("f", arn + "good", ""));
  CHECK_FALSE(out.destination_config()->on_failure()->destination());
}

TEST_CASE("what cannot take a record is refused when it is configured") {
  House house;
  house.create("f");
  const std::string code = "InvalidParameterValueException 400: ";
  auto refused = [&](const std::string& success, const std::string& failure) {
    return house.refused("PutFunctionEventInvokeConfig", put("f", success, failure));
  };
  for (const char* service : {"sqs", "sns", "events"}) {
    std::string to = fmt::format("arn:aws:{}:us-east-1:000000000000:x", service);
    CHECK(refused(to, "") == fmt::format("{}The destination ARN {} is invalid: this server has no "
                                         "service '{}' yet that could take it.",
                                         code, to, service));
    CHECK(refused("", to).starts_with(code));
  }
  CHECK(refused("", "arn:aws:s3:::bucket").find("no service 's3'") != std::string::npos);
  CHECK(refused("arn:aws:s3:::bucket", "").find("a bucket takes failures") != std::string::npos);
  CHECK(refused(arn + "f", "") ==
        code + "You can't specify the function as a destination for itself.");
  CHECK(refused(arn + "none", "").find("there is no such function") != std::string::npos);
  CHECK(refused("arn:aws:lambda:us-east-1:111111111111:function:g", "")
            .find("of the same account and region") != std::string::npos);
  CHECK(refused("arn:aws:lambda:eu-west-1:000000000000:function:g", "")
            .find("of the same account and region") != std::string::npos);
  model::GetFunctionEventInvokeConfigRequest get;
  get.set_function_name("f");
  CHECK(house.refused("GetFunctionEventInvokeConfig", get).starts_with("ResourceNotFound"));
}

TEST_CASE("a record tells of a success") {
  House house;
  house.create("f");
  house.create("good");
  house.done("PutFunctionEventInvokeConfig", put("f", arn + "good", ""));
  auto target = resolve(house, "f");
  CHECK_FALSE(target.on_failure);
  auto event = event_of("f");
  events::Outcome outcome;
  outcome.payload = "not json";
  outcome.executed_version = "$LATEST";
  auto told = target.on_success({.condition = invoke::Ending::Condition::success,
                                 .event = event,
                                 .invoked_arn = target.invoked_arn,
                                 .invocations = 1,
                                 .outcome = &outcome});
  REQUIRE(told);
  CHECK(told->name.str() == "good");
  CHECK(told->event.id.str().size() == 36);
  CHECK(told->event.payload ==
        R"({"version":"1.0","timestamp":"2026-01-01T00:00:00.000Z","requestContext":{)"
        R"("requestId":"event-1","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f)"
        R"(:$LATEST","condition":"Success","approximateInvokeCount":1},)"
        R"("requestPayload":{ "order": 7 },)"
        R"("responseContext":{"statusCode":200,"executedVersion":"$LATEST"},)"
        R"("responsePayload":"not json"})");
  outcome.payload = "\"" + std::string(limits::invoke_async_payload_bytes, 'x') + "\"";
  auto large = target.on_success({.event = event, .invoked_arn = "a", .outcome = &outcome});
  REQUIRE_FALSE(large);
  CHECK(large.error().kind == ErrorKind::too_large);
  model::DeleteFunctionRequest gone;
  gone.set_function_name("good");
  house.done("DeleteFunction", gone);
  outcome.payload = "1";
  auto missing = target.on_success({.event = event, .invoked_arn = "a", .outcome = &outcome});
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::not_found);
}

TEST_CASE("a record tells of a failure, with the configuration of the qualifier that was called") {
  House house;
  house.create("f");
  house.create("bad");
  std::string version = house.publish("f", "one");
  model::PutFunctionEventInvokeConfigRequest in = put("f", "", arn + "bad");
  in.set_qualifier(version).set_maximum_retry_attempts(1);
  house.done("PutFunctionEventInvokeConfig", in);
  CHECK_FALSE(resolve(house, "f").on_failure);
  CHECK(resolve(house, "f").max_retries == 2);
  auto target = resolve(house, "f", version);
  CHECK(target.max_retries == 1);
  auto event = event_of("f");
  events::Outcome outcome;
  outcome.kind = events::Outcome::Kind::function_error;
  outcome.payload = R"({"errorMessage":"no"})";
  outcome.error_class = "Unhandled";
  outcome.executed_version = version;
  auto told = target.on_failure({.condition = invoke::Ending::Condition::retries_exhausted,
                                 .event = event,
                                 .invoked_arn = target.invoked_arn,
                                 .invocations = 2,
                                 .outcome = &outcome});
  REQUIRE(told);
  CHECK(told->event.payload ==
        R"({"version":"1.0","timestamp":"2026-01-01T00:00:00.000Z","requestContext":{)"
        R"("requestId":"event-1","functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f)"
        R"(:1","condition":"RetriesExhausted","approximateInvokeCount":2},)"
        R"("requestPayload":{ "order": 7 },)"
        R"("responseContext":{"statusCode":200,"executedVersion":"1","functionError":"Unhandled"},)"
        R"("responsePayload":{"errorMessage":"no"}})");
  for (auto [condition, name] :
       {std::pair{invoke::Ending::Condition::event_age_exceeded, "EventAgeExceeded"},
        std::pair{invoke::Ending::Condition::zero_reserved_concurrency,
                  "ZeroReservedConcurrency"}}) {
    told = target.on_failure({.condition = condition, .event = event, .invoked_arn = "a"});
    REQUIRE(told);
    CHECK(told->event.payload.find(fmt::format(R"("condition":"{}","approximateInvokeCount":0}})",
                                               name)) != std::string::npos);
    CHECK(told->event.payload.find("response") == std::string::npos);
  }
}

// A queue service that has one queue.
struct FakeQueue final : events::Target {
  Result<> check(std::string_view to, const events::Sender& sender) override {
    asked.push_back(fmt::format("{} {} {}", to, sender.source_arn, sender.role_arn));
    if (to != queue_arn) return fail(ErrorKind::not_found, "there is no such queue");
    return {};
  }
  io::Task<Result<events::Outcome>> push(events::Delivery) override { co_return events::Outcome{}; }
  const std::string queue_arn = "arn:aws:sqs:us-east-1:000000000000:dead";
  std::vector<std::string> asked;
};

struct WithQueue {
  WithQueue() {
    board.add_target("sqs", queue);
    house.switchboard = &board;
    house.stop();
    house.start();
    house.create("f");
  }
  FakeQueue queue;
  events::Switchboard board;
  House house;
};

TEST_CASE("a queue is a destination when it is there, has no order, and the role may push to it") {
  WithQueue w;
  w.house.done("PutFunctionEventInvokeConfig", put("f", w.queue.queue_arn, ""));
  CHECK(w.queue.asked.back() == w.queue.queue_arn + " " + arn + "f " + role);
  CHECK(w.house.refused("PutFunctionEventInvokeConfig",
                        put("f", "", "arn:aws:sqs:us-east-1:000000000000:none")) ==
        "InvalidParameterValueException 400: The destination ARN "
        "arn:aws:sqs:us-east-1:000000000000:none is invalid: there is no such queue.");
  CHECK(w.house
            .refused("PutFunctionEventInvokeConfig",
                     put("f", "", "arn:aws:sqs:us-east-1:000000000000:q.fifo"))
            .find("with order") != std::string::npos);
  auto target = resolve(w.house, "f");
  auto event = event_of("f");
  events::Outcome outcome;
  auto told = target.on_success({.event = event, .invoked_arn = "a:b", .outcome = &outcome});
  REQUIRE(told);
  REQUIRE(told->outbound);
  CHECK(told->outbound->arn == w.queue.queue_arn);
  CHECK(told->outbound->role_arn == role);
  CHECK(told->outbound->attributes.empty());
  CHECK(told->event.payload.starts_with(R"({"version":"1.0")"));
}

TEST_CASE("a bucket is a destination of failures, and keeps each under a key of its own") {
  struct FakeBucket final : events::Target {
    Result<> check(std::string_view, const events::Sender&) override { return {}; }
    io::Task<Result<events::Outcome>> push(events::Delivery) override {
      co_return events::Outcome{};
    }
  } bucket;
  WithQueue w;
  w.board.add_target("s3", bucket);
  w.house.done("PutFunctionEventInvokeConfig", put("f", "", "arn:aws:s3:::records"));
  CHECK(w.house.refused("PutFunctionEventInvokeConfig", put("f", "arn:aws:s3:::records", ""))
            .find("a bucket takes failures alone") != std::string::npos);
  auto target = resolve(w.house, "f");
  auto event = event_of("f");
  events::Outcome outcome;
  outcome.kind = events::Outcome::Kind::function_error;
  auto key = [&] {
    auto told = target.on_failure({.condition = invoke::Ending::Condition::retries_exhausted,
                                   .event = event,
                                   .invoked_arn = "a:b",
                                   .outcome = &outcome});
    REQUIRE(told);
    CHECK(told->outbound->arn == "arn:aws:s3:::records");
    CHECK(told->event.payload.starts_with(R"({"version":"1.0")"));
    return told->outbound->subject;
  };
  std::string prefix = "aws/lambda/async/f/2026/01/01/2026-01-01T00.00.00-";
  std::string one = key();
  CHECK(one.starts_with(prefix));
  CHECK(one.size() == prefix.size() + 36);
  CHECK(key() != one);
}

TEST_CASE("a dead-letter queue gets the event and why it failed") {
  WithQueue w;
  auto& house = w.house;
  model::UpdateFunctionConfigurationRequest in;
  in.set_function_name("f").set_dead_letter_config(
      model::DeadLetterConfig().set_target_arn(w.queue.queue_arn));
  auto out = house.ok<model::FunctionConfiguration>("UpdateFunctionConfiguration", in);
  CHECK(*out.dead_letter_config()->target_arn() == w.queue.queue_arn);
  auto target = resolve(house, "f");
  REQUIRE(target.dead_letter);
  auto event = event_of("f");
  events::Outcome outcome;
  outcome.kind = events::Outcome::Kind::function_error;
  outcome.payload = R"({"errorMessage":")" + std::string(1023, 'x') + "\u00e4\"}";
  invoke::Ending ending{.condition = invoke::Ending::Condition::retries_exhausted,
                        .event = event,
                        .invoked_arn = "a",
                        .outcome = &outcome};
  auto told = target.dead_letter(ending);
  REQUIRE(told);
  CHECK(told->event.payload == event.event.payload);
  REQUIRE(told->outbound);
  const auto& attributes = told->outbound->attributes;
  REQUIRE(attributes.size() == 3);
  CHECK(attributes[0] == events::Attribute{"RequestID", "String", "event-1"});
  CHECK(attributes[1] == events::Attribute{"ErrorCode", "Number", "200"});
  // The first KiB, without half a character at its end.
  CHECK(attributes[2] == events::Attribute{"ErrorMessage", "String", std::string(1023, 'x')});
  ending.condition = invoke::Ending::Condition::zero_reserved_concurrency;
  ending.outcome = nullptr;
  CHECK(target.dead_letter(ending)->outbound->attributes[1].value == "429");

  in.set_dead_letter_config(
      model::DeadLetterConfig().set_target_arn("arn:aws:lambda:us-east-1:000000000000:function:f"));
  CHECK(house.refused("UpdateFunctionConfiguration", in).find("standard queue or topic") !=
        std::string::npos);
  in.set_dead_letter_config(model::DeadLetterConfig().set_target_arn(""));
  house.done("UpdateFunctionConfiguration", in);
  CHECK_FALSE(resolve(house, "f").dead_letter);
}

TEST_CASE("the invoker hears what is reserved in sum") {
  House house;
  house.create("f");
  house.create("g");
  auto reserve = [&](const std::string& name, int concurrency) {
    model::PutFunctionConcurrencyRequest in;
    in.set_function_name(name).set_reserved_concurrent_executions(concurrency);
    house.done("PutFunctionConcurrency", in);
  };
  reserve("f", 100);
  reserve("g", 50);
  CHECK(house.invoker.reserved == 150);
  reserve("f", 10);
  CHECK(house.invoker.reserved == 60);
  house.stop();
  house.invoker.reserved = 0;
  house.start();
  CHECK(house.invoker.reserved == 60);
  model::DeleteFunctionRequest gone;
  gone.set_function_name("f");
  house.done("DeleteFunction", gone);
  CHECK(house.invoker.reserved == 50);
  reserve("g", 0);
  CHECK(house.invoker.reserved == 0);
}

}  // namespace
}  // namespace mayfly::lambda::test
