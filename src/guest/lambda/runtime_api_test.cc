#include <doctest/doctest.h>

#include "base/limits.h"
#include "guest/lambda/errors.h"
#include "guest/lambda/runtime_api_fixture_test.h"

namespace mayfly::guest::testing {
namespace {

TEST_CASE("an event goes out with its headers, the answer comes back, on one connection") {
  Api api;
  Client runtime(api.loop, api.address);
  runtime.send(get(next_path));
  auto init = api.loop.run_until(api.channel->wait_init(api.soon()));
  REQUIRE(init);
  CHECK(init->ok);
  for (const char* id : {"r-1", "r-2"}) {
    api.start(event(id));
    auto got = runtime.receive();
    CHECK(got.starts_with("HTTP/1.1 200 "));
    CHECK(has(got, fmt::format("Lambda-Runtime-Aws-Request-Id: {}\r\n", id)));
    CHECK(has(got, "Lambda-Runtime-Deadline-Ms: 1542409706888\r\n"));
    CHECK(has(got,
              "Lambda-Runtime-Invoked-Function-Arn: "
              "arn:aws:lambda:eu-west-1:000000000000:function:f\r\n"));
    CHECK(has(got, "Lambda-Runtime-Trace-Id: Root=1-2\r\n"));
    CHECK(has(got, "Lambda-Runtime-Client-Context: {\"a\": 1}\r\n"));
    CHECK(has(got, "Lambda-Runtime-Cognito-Identity: {\"cognitoIdentityId\":\"i\""));
    CHECK(has(got, "Content-Type: application/json\r\n"));
    CHECK(got.ends_with("\r\n\r\n{\"k\":1}"));
    auto ok = runtime.call(post(reply_path(id, "response"), "\"answer\""));
    CHECK(ok.starts_with("HTTP/1.1 202 "));
    CHECK(has(ok, "{\"status\":\"OK\"}"));
    auto reply = api.outcome();
    REQUIRE(reply);
    CHECK_FALSE(reply->is_error);
    CHECK(reply->payload == "\"answer\"");
    CHECK(reply->content_type == "application/json");
    runtime.send(get(next_path));
  }
}

TEST_CASE("empty headers are left out; an event waits for a runtime that asks late") {
  Api api;
  Client runtime(api.loop, api.address);
  api.start({.request_id = "x",
             .payload = "1",
             .invoked_function_arn = {},
             .trace_header = {},
             .client_context = {},
             .cognito_identity = {}});
  auto got = runtime.call(get(next_path));
  CHECK(has(got, "Lambda-Runtime-Aws-Request-Id: x"));
  for (const char* name :
       {"Trace-Id", "Client-Context", "Cognito-Identity", "Function-Arn", "Tenant-Id"}) {
    CHECK_MESSAGE(!has(got, name), name);
  }
}

TEST_CASE("the runtime of a tenant's environment is told whose event it is") {
  Api api;
  Client runtime(api.loop, api.address);
  auto tenant = event("r-1");
  tenant.tenant_id = "blue 1";
  api.start(tenant);
  CHECK(has(runtime.call(get(next_path)), "Lambda-Runtime-Aws-Tenant-Id: blue 1\r\n"));
}

TEST_CASE("errors of an invocation carry their checked type") {
  Api api;
  Client runtime(api.loop, api.address);
  struct Case {
    std::string fields, body, type, payload;
  };
  for (const Case& c : {
           Case{"Lambda-Runtime-Function-Error-Type: Runtime.Exploded\r\n", "{\"errorMessage\":1}",
                "Runtime.Exploded", "{\"errorMessage\":1}"},
           Case{"Lambda-Runtime-Function-Error-Type: TypeError\r\n", "x", "Function.Unknown", "x"},
           Case{"", "", "Function.Unknown", ""},
           Case{"Content-Type: application/vnd.aws.lambda.error.cause+json\r\n",
                "{\"errorMessage\":\"m\",\"errorType\":\"t\",\"errorCause\":{\"x\":1}}",
                "Function.Unknown", "{\"errorMessage\":\"m\",\"errorType\":\"t\"}"},
           Case{"Content-Type: application/vnd.aws.lambda.error.cause+json\r\n", "no json",
                "Function.Unknown", "\"Invalid error body\""},
       }) {
    CAPTURE(c.body);
    api.start(event("id"));
    runtime.call(get(next_path));
    CHECK(runtime.call(post(reply_path("id", "error"), c.body, c.fields))
              .starts_with("HTTP/1.1 202 "));
    auto reply = api.outcome();
    REQUIRE(reply);
    CHECK(reply->is_error);
    CHECK(reply->error_type == c.type);
    CHECK(reply->payload == c.payload);
  }
}

TEST_CASE("an init error ends the init; then nothing else is allowed") {
  Api api;
  Client runtime(api.loop, api.address);
  auto ok = runtime.call(post("/2018-06-01/runtime/init/error", "{\"errorType\":\"X\"}",
                              "Lambda-Runtime-Function-Error-Type: Runtime.NoSuch\r\n"));
  CHECK(ok.starts_with("HTTP/1.1 202 "));
  auto init = api.loop.run_until(api.channel->wait_init(api.soon()));
  REQUIRE(init);
  CHECK_FALSE(init->ok);
  CHECK(init->error_type == "Runtime.NoSuch");
  CHECK(init->error_payload == "{\"errorType\":\"X\"}");
  auto again = runtime.call(post("/2018-06-01/runtime/init/error", "{}"));
  CHECK(again.starts_with("HTTP/1.1 403 "));
  CHECK(has(again, "\"errorType\":\"InvalidStateTransition\""));
  CHECK(has(again,
            "State transition from InitError to InitError failed for runtime. Error: State "
            "transition is not allowed"));
  CHECK(runtime.call(get(next_path)).starts_with("HTTP/1.1 403 "));
}

TEST_CASE("answers out of turn are refused") {
  Api api;
  Client runtime(api.loop, api.address);
  auto refused = runtime.call(post(reply_path("id", "response"), "1"));
  CHECK(refused.starts_with("HTTP/1.1 400 "));
  CHECK(
      has(refused, "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}"));
  api.start(event("id"));
  runtime.call(get(next_path));
  CHECK(has(runtime.call(get(next_path)), "Aws-Request-Id: id"));  // the same event again
  CHECK(runtime.call(post(reply_path("other", "error"), "1")).starts_with("HTTP/1.1 400 "));
  CHECK(runtime.call(post("/2018-06-01/runtime/init/error", "{}")).starts_with("HTTP/1.1 403 "));
  CHECK(runtime.call(post(reply_path("id", "response"), "1")).starts_with("HTTP/1.1 202 "));
  auto twice = runtime.call(post(reply_path("id", "response"), "2"));
  CHECK(twice.starts_with("HTTP/1.1 403 "));
  CHECK(has(twice, "State transition from RuntimeResponseSentState to InvocationResponse failed"));
  auto reply = api.outcome();
  REQUIRE(reply);
  CHECK(reply->payload == "1");
}

TEST_CASE("a second answer during the body of the first is refused") {
  Api api;
  Client runtime(api.loop, api.address);
  Client other(api.loop, api.address);
  api.start(event("id"));
  runtime.call(get(next_path));
  runtime.send(fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab",
                           reply_path("id", "response")));
  auto refused = other.call(post(reply_path("id", "error"), "{}"));
  CHECK(refused.starts_with("HTTP/1.1 403 "));
  CHECK(has(refused, "from InvocationResponse to InvocationErrorResponse"));
  CHECK(runtime.call("cd").starts_with("HTTP/1.1 202 "));
  auto reply = api.outcome();
  REQUIRE(reply);
  CHECK(reply->payload == "abcd");
}

TEST_CASE("the size of an answer is limited, with and without a declared length") {
  for (bool chunked : {false, true}) {
    for (std::size_t extra : {0u, 1u}) {
      CAPTURE(chunked);
      CAPTURE(extra);
      Api api;
      Client runtime(api.loop, api.address);
      api.start(event("id"));
      runtime.call(get(next_path));
      std::string body(response_max_bytes + extra, 'z');
      auto path = reply_path("id", "response");
      std::string bytes =
          chunked ? fmt::format(
                        "POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "{:x}\r\n{}\r\n0\r\n\r\n",
                        path, body.size(), body)
                  : post(path, body);
      auto answer = runtime.call(bytes);
      auto reply = api.outcome();
      REQUIRE(reply.has_value() == (extra == 0));
      if (extra == 0) {
        CHECK(answer.starts_with("HTTP/1.1 202 "));
        CHECK(reply->payload == body);
      } else {
        CHECK(answer.starts_with("HTTP/1.1 413 "));
        CHECK(has(answer, "Exceeded maximum allowed payload size (6291556 bytes)."));
        CHECK(has(answer, "\"errorType\":\"RequestEntityTooLarge\""));
        CHECK(reply.error().kind == ErrorKind::too_large);
      }
      // Either way the runtime goes on.
      api.start(event("id-2"));
      CHECK(has(runtime.call(get(next_path)), "Aws-Request-Id: id-2"));
    }
  }
}

TEST_CASE("a streaming answer is collected; its trailers report an error in the middle") {
  Api api;
  Client runtime(api.loop, api.address);
  auto chunked = [](std::string_view trailers) {
    return fmt::format(
        "POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
        "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
        "Trailer: Lambda-Runtime-Function-Error-Type\r\n\r\n"
        "3\r\nab-\r\n2\r\ncd\r\n0\r\n{}\r\n",
        reply_path("id", "response"), trailers);
  };
  api.start(event("id"));
  runtime.call(get(next_path));
  CHECK(runtime.call(chunked("")).starts_with("HTTP/1.1 202 "));
  auto reply = api.outcome();
  REQUIRE(reply);
  CHECK(reply->payload == "ab-cd");
  CHECK(reply->content_type == "application/vnd.awslambda.http-integration-response");
  CHECK_FALSE(reply->is_error);

  api.start(event("id"));
  runtime.call(get(next_path));
  runtime.call(
      chunked("Lambda-Runtime-Function-Error-Type: Runtime.Broke\r\n"
              "Lambda-Runtime-Function-Error-Body: eyJ4IjoxfQ==\r\n"));
  reply = api.outcome();
  REQUIRE(reply);
  CHECK(reply->is_error);
  CHECK(reply->error_type == "Runtime.Broke");
  CHECK(reply->payload == "{\"x\":1}");

  api.start(event("id"));
  runtime.call(get(next_path));
  auto refused = runtime.call(post(reply_path("id", "response"), "x",
                                   "Lambda-Runtime-Function-Response-Mode: sideways\r\n"));
  CHECK(refused.starts_with("HTTP/1.1 400 "));
  CHECK(has(refused, "InvalidFunctionResponseMode"));
  reply = api.outcome();
  REQUIRE(reply);
  CHECK(reply->is_error);
  CHECK(reply->error_type == "Runtime.InvalidResponseModeHeader");
  CHECK(reply->payload.find("Invalid function response mode") != std::string::npos);
}

TEST_CASE("a connection that ends inside an answer truncates it") {
  Api api;
  Client runtime(api.loop, api.address);
  api.start(event("id"));
  runtime.call(get(next_path));
  runtime.send(fmt::format("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
                           reply_path("id", "response")));
  runtime.end();
  auto answer = runtime.receive();
  CHECK(answer.starts_with("HTTP/1.1 400 "));
  CHECK(has(answer, "TruncatedHTTPRequest"));
  auto reply = api.outcome();
  REQUIRE(reply);
  CHECK(reply->is_error);
  CHECK(reply->error_type == "Runtime.TruncatedResponse");
}

TEST_CASE("ping, expectations, unknown paths, and extensions where none are served") {
  Api api;
  Client client(api.loop, api.address);
  CHECK(client.call(get("/2018-06-01/ping")).ends_with("\r\n\r\npong"));
  CHECK(client.call(get("/2018-06-01/runtime/restore/next")).starts_with("HTTP/1.1 404 "));
  CHECK(client.call(post("/2018-06-01/runtime/restore/error", "{}")).starts_with("HTTP/1.1 404 "));
  CHECK(client.call(get("/elsewhere")).starts_with("HTTP/1.1 404 "));
  CHECK(client.call(post(next_path, "")).starts_with("HTTP/1.1 405 "));
  auto extension = client.call(post("/2020-01-01/extension/register", "{}"));
  CHECK(extension.starts_with("HTTP/1.1 404 "));
  client.send(
      "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
      "Content-Length: 2\r\n\r\n");
  CHECK(client.receive().starts_with("HTTP/1.1 100 "));
  CHECK(client.call("{}").starts_with("HTTP/1.1 202 "));
  Client rude(api.loop, api.address);
  auto refused = rude.call("GET /x y HTTP/1.1\r\n\r\n");
  CHECK_MESSAGE(refused.starts_with("HTTP/1.1 4"), refused);
  CHECK(has(refused, "Connection: close"));
}

TEST_CASE("connections are limited, and one that waited for an event may go") {
  Api api;
  std::vector<std::unique_ptr<Client>> clients;
  clients.reserve(limits::runtime_api_connections);
  for (std::size_t i = 0; i < limits::runtime_api_connections; ++i) {
    clients.push_back(std::make_unique<Client>(api.loop, api.address));
  }
  api.loop.run_ready();
  Client beyond(api.loop, api.address);
  CHECK(beyond.receive(100ms).empty());
  clients[0]->send(get(next_path));
  api.loop.run_ready();
  clients[0].reset();
  api.loop.run_ready();
  api.start(event("id"));
  CHECK(has(clients[1]->call(get(next_path)), "Aws-Request-Id: id"));
}

TEST_CASE("deadlines and cancel") {
  Api api;
  auto init = api.loop.run_until(api.channel->wait_init(api.clock.mono() + 5ms));
  REQUIRE(!init);
  CHECK(init.error().kind == ErrorKind::timeout);
  api.start(event("id"), 5ms);
  auto reply = api.outcome();
  REQUIRE(!reply);
  CHECK(reply.error().kind == ErrorKind::timeout);
  Api other;
  other.start(event("id"));
  other.channel->cancel();
  reply = other.outcome();
  REQUIRE(!reply);
  CHECK(reply.error().kind == ErrorKind::cancelled);
}

TEST_CASE("a runtime that takes several events has as many connections that wait for one") {
  Api api;
  api.channel->share(4);
  Client first(api.loop, api.address);
  Client second(api.loop, api.address);
  first.send(get(next_path));
  auto init = api.loop.run_until(api.channel->wait_init(api.soon()));
  REQUIRE(init);
  second.send(get(next_path));
  std::optional<Result<InvokeReply>> other;
  api.start(event("r-1", "1"));
  api.scope.spawn(keep(*api.channel, event("r-2", "2"), no_deadline, other));
  auto got = first.receive() + second.receive();
  CHECK(has(got, "Aws-Request-Id: r-1\r\n"));
  CHECK(has(got, "Aws-Request-Id: r-2\r\n"));
  // The later one answers first; then it is answered, and no event of that name is left.
  CHECK(second.call(post(reply_path("r-2", "response"), "\"two\"")).starts_with("HTTP/1.1 202 "));
  REQUIRE(other);
  CHECK((*other)->payload == "\"two\"");
  CHECK_FALSE(api.reply);
  CHECK(has(second.call(post(reply_path("r-2", "response"), "again")), "InvalidRequestID"));
  CHECK(has(second.call(post(reply_path("r-9", "error"), "{}")), "InvalidRequestID"));
  auto refused = first.call(post(reply_path("r-1", "error"), "{\"errorMessage\":\"no\"}",
                                 "Lambda-Runtime-Function-Error-Type: Runtime.No\r\n"));
  CHECK(refused.starts_with("HTTP/1.1 202 "));
  CHECK(api.outcome()->error_type == "Runtime.No");
}

TEST_CASE("events beyond the connections that wait are kept until one asks") {
  Api api;
  api.channel->share(4);
  Client runtime(api.loop, api.address);
  runtime.send(get(next_path));
  REQUIRE(api.loop.run_until(api.channel->wait_init(api.soon())));
  std::optional<Result<InvokeReply>> other;
  api.start(event("r-1"));
  api.scope.spawn(keep(*api.channel, event("r-2"), no_deadline, other));
  CHECK(has(runtime.receive(), "r-1"));
  CHECK(has(runtime.call(get(next_path)), "r-2"));  // without having answered the first
  CHECK(has(runtime.call(post(reply_path("r-2", "response"), "{}")), "202"));
  CHECK(has(runtime.call(post(reply_path("r-1", "response"), "{}")), "202"));
  REQUIRE(other);
  CHECK(other->has_value());
  CHECK(api.outcome().has_value());
}

}  // namespace
}  // namespace mayfly::guest::testing
