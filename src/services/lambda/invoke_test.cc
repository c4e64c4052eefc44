#include "base/limits.h"
#include "services/lambda/fixture_test.h"
#include "services/lambda/json_scan.h"
#include "services/lambda/text.h"

namespace mayfly::lambda::test {
namespace {

model::InvocationRequest to(const std::string& name, const std::string& payload = "{}") {
  model::InvocationRequest in;
  in.set_function_name(name).set_payload(payload);
  return in;
}

TEST_CASE("a call runs the function and passes its answer through") {
  House house;
  auto request = House::request("f");
  model::Environment environment;
  environment.set_variables({{"K", "v"}});
  request.set_environment(environment).set_timeout(7).set_memory_size(256);
  house.done("CreateFunction", request);
  house.invoker.answer = events::Outcome{.kind = events::Outcome::Kind::ok,
                                         .payload = "{ \"a\" : 1 }",
                                         .content_type = "application/json",
                                         .error_class = {},
                                         .executed_version = "$LATEST",
                                         .log_tail = "START\nEND\n"};
  auto in = to("f", "{\"b\":2}");
  in.set_log_type("Tail").set_client_context(base64("{\"c\":3}"));
  auto out = house.ok<model::InvocationResponse>("Invoke", in);
  CHECK(*out.status_code() == 200);
  CHECK(*out.payload() == "{ \"a\" : 1 }");
  CHECK(*out.executed_version() == "$LATEST");
  CHECK(*out.log_result() == base64("START\nEND\n"));
  CHECK_FALSE(out.function_error());
  const auto& runnable = house.invoker.runnables.at(0);
  CHECK(runnable.handler == "index.handler");
  CHECK(runnable.environment.at("K") == "v");
  CHECK(runnable.timeout_seconds == 7);
  CHECK(runnable.memory_mb == 256);
  CHECK(runnable.log_group == "/aws/lambda/f");
  CHECK(runnable.concurrency_key == "000000000000/us-east-1/f");
  CHECK(std::filesystem::exists(runnable.code_dir / "index.js"));
  CHECK(runnable.layers_dir.empty());
  const auto& asked = house.invoker.requests.at(0);
  CHECK(asked.event.payload == "{\"b\":2}");
  CHECK(asked.event.client_context == "{\"c\":3}");
  CHECK(asked.event.id.str() == "request-1");
  CHECK(asked.want_log_tail);
}

TEST_CASE("a failing function is an answer, not an error") {
  House house;
  house.create("f");
  house.invoker.answer = events::Outcome{.kind = events::Outcome::Kind::function_error,
                                         .payload = "{\"errorMessage\":\"x\"}",
                                         .content_type = "application/json",
                                         .error_class = "Unhandled",
                                         .executed_version = {},
                                         .log_tail = {}};
  auto out = house.ok<model::InvocationResponse>("Invoke", to("f"));
  CHECK(*out.status_code() == 200);
  CHECK(*out.function_error() == "Unhandled");
  CHECK_FALSE(out.log_result());
}

TEST_CASE("no payload is an empty object") {
  House house;
  house.create("f");
  model::InvocationRequest in;
  in.set_function_name("f");
  house.done("Invoke", in);
  CHECK(house.invoker.requests.at(0).event.payload == "{}");
}

TEST_CASE("Event queues, DryRun only looks") {
  House house;
  house.create("f");
  auto in = to("f:$LATEST", "[1]");
  in.set_invocation_type("Event");
  auto out = house.ok<model::InvocationResponse>("Invoke", in);
  CHECK(*out.status_code() == 202);
  CHECK_FALSE(out.payload());
  REQUIRE(house.invoker.queued.size() == 1);
  CHECK(house.invoker.queued[0].event.payload == "[1]");
  CHECK(house.invoker.queued[0].qualifier == "$LATEST");
  in.set_invocation_type("DryRun");
  CHECK(*house.ok<model::InvocationResponse>("Invoke", in).status_code() == 204);
  CHECK(house.invoker.requests.empty());
  model::InvokeAsyncRequest old;
  old.set_function_name("f").set_invoke_args("{}");
  CHECK(*house.ok<model::InvokeAsyncResponse>("InvokeAsync", old).status() == 202);
  CHECK(house.invoker.queued.size() == 2);
}

TEST_CASE("calls are refused in the cloud's words") {
  House house;
  house.create("f");
  CHECK(house.refused("Invoke", to("g")) ==
        "ResourceNotFoundException 404: Function not found: "
        "arn:aws:lambda:us-east-1:000000000000:function:g");
  CHECK(house.refused("Invoke", to("f:9")).starts_with("ResourceNotFoundException 404"));
  CHECK(
      house.refused("Invoke", to("f", "{\"a\":\n tru}")) ==
      "InvalidRequestContentException 400: Could not parse request body into json: Could not parse "
      "payload into json: unrecognized token, expected true, false or null at [line: 2, column: "
      "2]");
  std::string big = "\"" + std::string(limits::invoke_sync_payload_bytes, 'x') + "\"";
  CHECK(house.refused("Invoke", to("f", big)) ==
        "RequestTooLargeException 413: Request must be smaller than 6291456 bytes for the "
        "InvokeFunction operation");
  auto event = to("f", "\"" + std::string(limits::invoke_async_payload_bytes, 'x') + "\"");
  event.set_invocation_type("Event");
  CHECK(house.refused("Invoke", event) ==
        "RequestTooLargeException 413: Request must be smaller than 1048576 bytes for the "
        "InvokeFunction operation");
  auto context = to("f");
  context.set_client_context(base64(std::string(3000, ' ')));
  CHECK(house.refused("Invoke", context) ==
        "InvalidRequestContentException 400: Client context must be no more than 3583 bytes.");
  context.set_client_context("?");
  CHECK(house.refused("Invoke", context).starts_with("InvalidRequestContentException 400"));
  house.invoker.answer =
      fail(ErrorKind::throttled, "busy", "ReservedFunctionConcurrentInvocationLimitExceeded");
  auto answer = house.call("Invoke", to("f").take());
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == "TooManyRequestsException");
  CHECK(answer.error().http_status == 429);
  CHECK(answer.error().message == "Rate Exceeded.");
  model::TooManyRequestsException detail(*answer.error().detail);
  CHECK(*detail.reason() == "ReservedFunctionConcurrentInvocationLimitExceeded");
  CHECK(*detail.retry_after_seconds() == "1");
  CHECK(*detail.type() == "User");
}

TEST_CASE("a call right after the creation waits for the function") {
  House house;
  house.settle_after_calls = false;
  house.create("f");
  CHECK(house.registry->find(home, FunctionName("f"))->latest.state == functions::State::pending);
  house.done("Invoke", to("f"));
  CHECK(house.invoker.requests.size() == 1);
  house.settle();
}

TEST_CASE("the queue finds its function again, with its retries") {
  House house;
  house.create("f");
  model::PutFunctionEventInvokeConfigRequest in;
  in.set_function_name("f").set_maximum_retry_attempts(0).set_maximum_event_age_in_seconds(60);
  house.done("PutFunctionEventInvokeConfig", in);
  auto target = house.loop.run_until(house.service->resolve_async(home, FunctionName("f"), ""));
  REQUIRE(target);
  CHECK(target->max_retries == 0);
  CHECK(target->max_age_seconds == 60);
  CHECK(target->runnable->handler == "index.handler");
  CHECK_FALSE(house.loop.run_until(house.service->resolve_async(home, FunctionName("g"), "")));
}

TEST_CASE("JSON is told from other text") {
  for (const char* good :
       {"{}", "[]", " 1 ", "-0.5e+10", "\"\\u00e9\\n\"", "{\"a\":[1,{\"b\":null}],\"c\":true}",
        "[[]]", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "[ ]", "{ }",
        "{\"a\" : { } , \"b\":1}"}) {
    CAPTURE(good);
    CHECK_FALSE(scan_json(good));
  }
  for (const char* bad : {"",
                          " ",
                          "{",
                          "[1,]",
                          "{\"a\":1,}",
                          "{a:1}",
                          "01",
                          "1.",
                          "1e",
                          "-",
                          "tru",
                          "\"",
                          "\"\\x\"",
                          "\"\\u12g4\"",
                          "\"\n\"",
                          "[1 2]",
                          "{\"a\" 1}",
                          "1 2",
                          "[1}",
                          "\"\xc0\x80\"",
                          "\"\xed\xa0\x80\"",
                          "\"\xf5\x80\x80\x80\"",
                          "\"\xc3\"",
                          "'a'",
                          "[1",
                          "NaN",
                          ","}) {
    CAPTURE(bad);
    CHECK(scan_json(bad));
  }
  CHECK_FALSE(scan_json(std::string(json_scan_depth, '[') + std::string(json_scan_depth, ']')));
  CHECK(scan_json(std::string(json_scan_depth + 1, '[') + std::string(json_scan_depth + 1, ']')));
}

}  // namespace
}  // namespace mayfly::lambda::test
