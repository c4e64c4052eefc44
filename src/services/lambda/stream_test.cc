// Streamed answers: the event stream of InvokeWithResponseStream, URLs with RESPONSE_STREAM.
#include "base/limits.h"
#include "services/lambda/fixture_test.h"
#include "services/lambda/text.h"
#include "services/lambda/url_event.h"
#include "wire/event_stream.h"

namespace mayfly::lambda::test {
namespace {

using Call = invoke::StreamedCall;

events::Outcome failed(std::string payload, std::string type) {
  events::Outcome out;
  out.kind = events::Outcome::Kind::function_error;
  out.payload = std::move(payload);
  out.error_type = std::move(type);
  return out;
}

// What the function does, once it is called.
void script(House& house, std::function<void(Call&)> act) {
  house.invoker.make_streamed = [&house, act = std::move(act)] {
    auto call = std::make_shared<Call>(house.loop);
    act(*call);
    return call;
  };
}

// Parts, then "END", or "BROKEN".
std::vector<std::string> drain(House& house, io::BodySource& from) {
  std::vector<std::string> out;
  while (true) {
    auto part = house.loop.run_until(from.next({}));
    out.push_back(!part ? "BROKEN" : part->empty() ? "END" : *part);
    if (!part || part->empty()) return out;
  }
}

// "TYPE payload" of each message.
std::vector<std::string> messages(House& house) {
  std::vector<std::string> out;
  REQUIRE(house.stream);
  for (const auto& part : drain(house, *house.stream)) {
    if (part == "END" || part == "BROKEN") {
      out.push_back(part);
      continue;
    }
    auto read = wire::read_event_message(part);
    REQUIRE(read);
    REQUIRE(*read);
    CHECK((*read)->size == part.size());
    const auto& message = (*read)->message;
    CHECK(message.header(":message-type") == "event");
    bool json = message.header(":event-type") == "InvokeComplete";
    CHECK(message.header(":content-type") ==
          (json ? "application/json" : "application/octet-stream"));
    out.push_back(fmt::format("{} {}", message.header(":event-type"), message.payload));
  }
  return out;
}

model::InvokeWithResponseStreamRequest to(const std::string& name, const std::string& payload) {
  model::InvokeWithResponseStreamRequest in;
  in.set_function_name(name).set_payload(payload);
  return in;
}

std::vector<std::string> streamed(House& house, std::function<void(Call&)> act,
                                  std::string_view log_type = "None") {
  script(house, std::move(act));
  auto in = to("f", "{\"a\":1}");
  in.set_log_type(std::string(log_type));
  auto out = house.ok<model::InvokeWithResponseStreamResponse>("InvokeWithResponseStream", in);
  CHECK(*out.status_code() == 200);
  CHECK(*out.executed_version() == "$LATEST");
  return messages(house);
}

TEST_CASE("parts become PayloadChunk events, the end an InvokeComplete") {
  House house;
  house.create("f");
  auto all = streamed(
      house,
      [](Call& call) {
        call.answer.begin("text/plain");
        call.answer.flow.push("hello");
        events::Outcome outcome;
        outcome.log_tail = "START\nEND\n";
        call.finish(outcome);
      },
      "Tail");
  CHECK(all == std::vector<std::string>{
                   "PayloadChunk hello",
                   fmt::format("InvokeComplete {{\"LogResult\":\"{}\"}}", base64("START\nEND\n")),
                   "END"});
  CHECK(house.invoker.requests.at(0).event.payload == "{\"a\":1}");
  CHECK(house.invoker.requests.at(0).want_log_tail);
  CHECK(house.invoker.streamed->answer.flow.left() == false);
  house.stream.reset();
  CHECK(house.invoker.streamed->answer.flow.left());
}

TEST_CASE("the function's errors end the stream properly, before and behind its first byte") {
  House house;
  house.create("f");
  CHECK(
      streamed(house,
               [](Call& call) { call.finish(failed("{\"errorMessage\":\"x\"}", "Runtime.X")); }) ==
      std::vector<std::string>{"InvokeComplete {\"ErrorCode\":\"Runtime.X\",\"ErrorDetails\":"
                               "\"{\\\"errorMessage\\\":\\\"x\\\"}\"}",
                               "END"});
  CHECK(streamed(house,
                 [](Call& call) {
                   call.answer.begin("a/b");
                   call.answer.flow.push("part");
                   call.finish(failed("{}", ""));
                 }) ==
        std::vector<std::string>{
            "PayloadChunk part",
            "InvokeComplete {\"ErrorCode\":\"Function.Unknown\",\"ErrorDetails\":\"{}\"}", "END"});
  // Too large: the flow breaks off before the call ends.
  CHECK(streamed(house,
                 [](Call& call) {
                   call.answer.begin("a/b");
                   call.answer.flow.break_off({ErrorKind::too_large, "", {}});
                   call.finish(failed("{}", "Function.ResponseSizeTooLarge"));
                 })
            .at(0)
            .starts_with("InvokeComplete {\"ErrorCode\":\"Function.ResponseSizeTooLarge\""));
}

TEST_CASE("a call that was given up in the middle breaks its stream off") {
  House house;
  house.create("f");
  auto all = streamed(house, [](Call& call) {
    call.answer.begin("a/b");
    call.answer.flow.push("part");
    call.finish(fail(ErrorKind::unavailable, "the server stopped"));
  });
  CHECK(all == std::vector<std::string>{"PayloadChunk part", "BROKEN"});
}

TEST_CASE("a stream can be stopped while nothing comes") {
  House house;
  house.create("f");
  script(house, [](Call& call) { call.answer.begin("a/b"); });
  house.done("InvokeWithResponseStream", to("f", "1"));
  std::stop_source stop;
  stop.request_stop();
  auto part = house.loop.run_until(house.stream->next(stop.get_token()));
  REQUIRE_FALSE(part);
  CHECK(part.error().kind == ErrorKind::cancelled);
}

TEST_CASE("dry runs and refusals run nothing") {
  House house;
  house.create("f");
  script(house, [](Call& call) {
    call.finish(fail(ErrorKind::throttled, "", "ConcurrentInvocationLimitExceeded"));
  });
  constexpr std::string_view name = "InvokeWithResponseStream";
  auto in = to("f", "{}");
  in.set_invocation_type("DryRun");
  CHECK(*house.ok<model::InvokeWithResponseStreamResponse>(name, in).status_code() == 204);
  CHECK_FALSE(house.stream);
  in.set_invocation_type("Event");
  CHECK(house.refused(name, in).starts_with("ValidationException 400"));
  CHECK(house.refused(name, to("g", "{}")).starts_with("ResourceNotFoundException 404"));
  CHECK(house.refused(name, to("f:9", "{}")).starts_with("ResourceNotFoundException 404"));
  CHECK(house.refused(name, to("f", "{")).starts_with("InvalidRequestContentException 400"));
  std::string fits = "\"" + std::string(limits::invoke_sync_payload_bytes - 2, 'x') + "\"";
  CHECK(house.refused(name, to("f", fits + " ")) ==
        "RequestTooLargeException 413: Request must be smaller than 6291456 bytes for the "
        "InvokeWithResponseStream operation");
  CHECK(house.invoker.requests.empty());
  CHECK(house.refused(name, to("f", fits)).starts_with("TooManyRequestsException 429"));
  CHECK(house.invoker.requests.size() == 1);
}

// ---- URLs

struct Page : House {
  RawRequest request;

  Page() {
    create("f");
    model::CreateFunctionUrlConfigRequest in;
    in.set_function_name("f").set_auth_type("NONE").set_invoke_mode("RESPONSE_STREAM");
    auto made = ok<model::CreateFunctionUrlConfigResponse>("CreateFunctionUrlConfig", in);
    CHECK(*made.invoke_mode() == "RESPONSE_STREAM");
    model::AddPermissionRequest grant;
    grant.set_function_name("f").set_statement_id("url").set_principal("*");
    grant.set_action("lambda:InvokeFunctionUrl").set_function_url_auth_type("NONE");
    done("AddPermission", grant);
    request.method = "GET";
    request.path = "/";
    request.host = made.function_url()->substr(7, made.function_url()->size() - 8);
    request.id = RequestId("request-1");
  }
  RawResponse serve(std::function<void(Call&)> act) {
    script(*this, std::move(act));
    return loop.run_until(service->serve_url(request));
  }
};

std::string header(const RawResponse& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (lower(key) == name) return value;
  }
  return "absent";
}

TEST_CASE("a prelude is the head of the response, what follows its body") {
  std::string prelude =
      "{\"statusCode\":201,\"headers\":{\"X-A\":\"b\",\"Content-Length\":\"9\"},"
      "\"cookies\":[\"c=1\"]}";
  for (std::size_t cut : {std::size_t{1}, prelude.size() - 1, prelude.size() + 3,
                          prelude.size() + 8, prelude.size() + 10}) {
    Page page;
    std::string whole = prelude + std::string(url_prelude_end) + "body";
    auto answer = page.serve([&](Call& call) {
      call.answer.begin(url_prelude_type);
      call.answer.flow.push(whole.substr(0, cut));
      auto later = [](Call& of, std::string rest) -> io::Task<void> {
        of.answer.flow.push(rest);
        of.finish(events::Outcome{});
        co_return;
      };
      // The second piece comes when the first has been taken.
      call.answer.flow.on_take([&call, rest = whole.substr(cut), later, &page] {
        page.loop.run_until(later(call, rest));
      });
    });
    CHECK(answer.status == 201);
    CHECK(header(answer, "x-a") == "b");
    CHECK(header(answer, "set-cookie") == "c=1");
    CHECK(header(answer, "content-length") == "absent");
    CHECK(header(answer, "content-type") == "application/json");
    REQUIRE(answer.stream);
    std::string body;
    auto parts = drain(page, *answer.stream);
    CHECK(parts.back() == "END");
    parts.pop_back();
    for (const auto& part : parts) body += part;
    CHECK(body == "body");
  }
}

TEST_CASE("without a prelude: 200 and the content type") {
  Page page;
  auto answer = page.serve([](Call& call) {
    call.answer.begin("text/plain");
    call.answer.flow.push("hello");
    call.finish(failed("{}", ""));
  });
  CHECK(answer.status == 200);
  CHECK(header(answer, "content-type") == "text/plain");
  CHECK(header(answer, "x-amzn-requestid") == "request-1");
  REQUIRE(answer.stream);
  CHECK(drain(page, *answer.stream) == std::vector<std::string>{"hello", "BROKEN"});
  answer.stream.reset();
  CHECK(page.invoker.streamed->answer.flow.left());
}

TEST_CASE("what fails before the body is a status") {
  Page page;
  CHECK(page.serve([](Call& call) { call.finish(failed("{}", "")); }).status == 502);
  CHECK(page.serve([](Call& call) { call.finish(fail(ErrorKind::throttled, "", "x")); }).status ==
        429);
  CHECK(page.serve([](Call& call) { call.finish(fail(ErrorKind::invalid, "no")); }).status == 502);
  for (std::string bad : {std::string("{}"), std::string("[1]") + std::string(url_prelude_end),
                          std::string("{\"statusCode\":99}") + std::string(url_prelude_end),
                          std::string("nonsense") + std::string(url_prelude_end)}) {
    CAPTURE(bad);
    auto answer = page.serve([&bad](Call& call) {
      call.answer.begin(url_prelude_type);
      call.answer.flow.push(bad);
      call.finish(events::Outcome{});
    });
    CHECK(answer.status == 502);
    CHECK_FALSE(answer.stream);
    CHECK(page.invoker.streamed->answer.flow.left());
  }
}

TEST_CASE("a prelude has a limit") {
  for (std::size_t more : {0, 1}) {
    Page page;
    std::string prelude = "{\"headers\":{\"a\":\"\"}}";
    prelude.insert(17, limits::stream_prelude_bytes - prelude.size() + more, 'x');
    auto answer = page.serve([&](Call& call) {
      call.answer.begin(url_prelude_type);
      call.answer.flow.push(prelude);
      call.answer.flow.push(std::string(url_prelude_end) + "body");
      call.finish(events::Outcome{});
    });
    CHECK(answer.status == (more == 0 ? 200 : 502));
  }
}

TEST_CASE("CORS of the URL goes over the function's own") {
  Page page;
  model::Cors cors;
  cors.set_allow_origins({"https://a.test"});
  model::UpdateFunctionUrlConfigRequest in;
  in.set_function_name("f").set_cors(cors);
  auto updated = page.ok<model::UpdateFunctionUrlConfigResponse>("UpdateFunctionUrlConfig", in);
  CHECK(*updated.invoke_mode() == "RESPONSE_STREAM");
  page.request.headers = {{"Origin", "https://a.test"}};
  auto answer = page.serve([](Call& call) {
    call.answer.begin(url_prelude_type);
    call.answer.flow.push("{\"headers\":{\"Access-Control-Allow-Origin\":\"*\"}}" +
                          std::string(url_prelude_end));
    call.finish(events::Outcome{});
  });
  CHECK(header(answer, "access-control-allow-origin") == "https://a.test");
  REQUIRE(answer.stream);
  CHECK(drain(page, *answer.stream) == std::vector<std::string>{"END"});
}

TEST_CASE("a buffered URL collects what a function streamed") {
  events::Outcome outcome;
  outcome.streamed = true;
  outcome.content_type = url_prelude_type;
  outcome.payload = "{\"statusCode\":404}" + std::string(url_prelude_end) + "gone";
  auto answer = url_response(outcome);
  CHECK(answer.status == 404);
  CHECK(answer.body == "gone");
  outcome.payload = "{\"statusCode\":404}";
  CHECK(url_response(outcome).status == 502);
  outcome.content_type = "text/plain";
  answer = url_response(outcome);
  CHECK(answer.status == 200);
  CHECK(answer.body == "{\"statusCode\":404}");
  CHECK(header(answer, "content-type") == "text/plain");
  outcome.content_type = "application/json";
  CHECK(url_response(outcome).status == 404);
}

}  // namespace
}  // namespace mayfly::lambda::test
