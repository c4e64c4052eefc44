// The Telemetry and Logs APIs: what is asked for, how it is buffered, and that it arrives.
#include "guest/extensions.h"
#include "invoke/house_for_tests.h"
#include "invoke/telemetry_feed.h"
#include "invoke/telemetry_text.h"
#include "sim/api_client.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;
using guest::TelemetryForm;
using sim::ApiSink;
using sim::body_of;

namespace {

std::string request_body(std::uint16_t port, std::string_view more = {},
                         std::string_view types = R"("platform","function","extension")",
                         std::string_view version = "2022-12-13") {
  return fmt::format(R"({{"schemaVersion":"{}","types":[{}],"destination":{{"protocol":"HTTP",)"
                     R"("URI":"http://sandbox.localdomain:{}/hear"}}{}}})",
                     version, types, port, more);
}

std::string refused(TelemetryForm form, std::string_view body) {
  auto read = read_subscription(form, body);
  REQUIRE_FALSE(read);
  CHECK(read.error().kind == ErrorKind::invalid);
  return read.error().message;
}

struct Feeding {
  sim::ManualClock clock;
  io::Loop loop{clock};
  ApiSink sink{loop};
  TelemetryFeed feed;
  guest::Extension extension{.name = "watcher", .id = "", .external = true, .error_type = ""};

  explicit Feeding(bool json_logs = false) : feed(loop, json_logs) {
    std::vector<io::Fd> sockets;
    for (int i = 0; i < 2; ++i) {
      sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    }
    feed.add_sockets(std::move(sockets));
  }
  ~Feeding() { loop.run_until(feed.close()); }
  guest::SubscribeAnswer subscribe(std::string_view body,
                                   TelemetryForm form = TelemetryForm::telemetry) {
    auto answer = feed.subscribe(extension, form, body);
    loop.run_ready();
    return answer;
  }
  void say(std::string_view text) {
    feed.line(TelemetryKind::function, text, clock.wall());
    loop.run_ready();
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }
  // The events of the request with this number.
  wire::JsonArray events(std::size_t index) {
    sink.await(index + 1);
    auto parsed = wire::parse_json(body_of(sink.requests[index]));
    REQUIRE(parsed);
    const auto* list = parsed->as<wire::JsonArray>();
    REQUIRE(list != nullptr);
    return *list;
  }
};

}  // namespace

TEST_CASE("a subscription is read with its defaults and its bounds") {
  auto plain = read_subscription(TelemetryForm::telemetry, request_body(8080));
  REQUIRE(plain);
  CHECK(plain->port == 8080);
  CHECK(plain->path == "/hear");
  CHECK(plain->host == "sandbox.localdomain:8080");
  CHECK(plain->max_items == 10'000);
  CHECK(plain->max_bytes == 262'144);
  CHECK(plain->timeout == 1s);
  CHECK(plain->wants(TelemetryKind::extension));
  CHECK(plain->json_records());

  auto bounded = [](std::string_view buffering) {
    return read_subscription(TelemetryForm::telemetry,
                             request_body(8080, fmt::format(R"(,"buffering":{})", buffering)));
  };
  auto least = bounded(R"({"maxItems":1000,"maxBytes":262144,"timeoutMs":25})");
  REQUIRE(least);
  CHECK(least->timeout == 25ms);
  REQUIRE(bounded(R"({"maxItems":10000,"maxBytes":1048576,"timeoutMs":30000})"));
  CHECK_FALSE(bounded(R"({"maxItems":999})"));
  CHECK_FALSE(bounded(R"({"maxItems":10001})"));
  CHECK_FALSE(bounded(R"({"maxBytes":262143})"));
  CHECK_FALSE(bounded(R"({"maxBytes":1048577})"));
  CHECK_FALSE(bounded(R"({"timeoutMs":24})"));
  CHECK_FALSE(bounded(R"({"timeoutMs":30001})"));
}

TEST_CASE("a subscription that cannot be served says why") {
  auto form = TelemetryForm::telemetry;
  CHECK(refused(form, "no") == "the request body is not a JSON object");
  CHECK(refused(form, request_body(8080, "", "")) == "types should not be empty");
  CHECK(refused(form, request_body(8080, "", R"("all")")).contains("none of platform"));
  CHECK(refused(form, request_body(8080, "", R"("platform")", "2020-08-15"))
            .contains("schemaVersion"));
  CHECK(refused(form, request_body(9001)) == "port 9001 is reserved");
  auto to = [&](std::string_view destination) {
    return refused(form, fmt::format(R"({{"schemaVersion":"2022-07-01","types":["platform"],)"
                                     R"("destination":{}}})",
                                     destination));
  };
  CHECK(to(R"({"protocol":"HTTP","URI":"http://sandbox.localdomain"})") ==
        "URI port is not provided");
  CHECK(to(R"({"protocol":"HTTP","URI":"http://example.com:80"})") ==
        "destination.URI host must be sandbox.localdomain");
  CHECK(to(R"({"protocol":"HTTP","URI":"https://sandbox:80"})").contains("http://"));
  CHECK(to(R"({"protocol":"UDP","port":80})").contains("HTTP or TCP"));
  CHECK(to(R"({"protocol":"TCP","port":70000})").contains("out of range"));
}

TEST_CASE("events are delivered when their time is up") {
  Feeding world;
  CHECK(world.subscribe(request_body(world.sink.port)).body == "\"OK\"");
  world.pass(1s);
  CHECK(world.events(0).size() == 1);  // the subscription itself
  world.feed.end_init();
  world.say("one");
  world.say("two");
  world.pass(999ms);
  world.sink.settle();
  CHECK(world.sink.requests.size() == 1);
  world.pass(1ms);
  auto events = world.events(1);
  REQUIRE(events.size() == 2);
  CHECK(events[0].string_or("record") == "one");
  CHECK(events[0].string_or("type") == "function");
  CHECK(events[0].string_or("time") == "2026-01-01T00:00:01.000Z");
  CHECK(world.sink.requests[1].starts_with("POST /hear HTTP/1.1\r\nHost: sandbox.localdomain:"));
}

TEST_CASE("who subscribes late in Init hears of what was before, and nobody after it") {
  Feeding world;
  world.say("early");
  world.feed.platform(R"({"type":"platform.initStart"})", EventForm::telemetry);
  world.subscribe(request_body(world.sink.port));
  world.pass(1s);
  auto events = world.events(0);
  REQUIRE(events.size() == 3);
  CHECK(events[0].string_or("record") == "early");
  CHECK(events[1].string_or("type") == "platform.initStart");
  CHECK(events[2].string_or("type") == "platform.telemetrySubscription");
  CHECK(*events[2].at({"record", "name"}) == wire::Json("watcher"));
  CHECK(world.feed.hears());
}

TEST_CASE("without a subscription nothing is kept after Init") {
  Feeding world;
  CHECK(world.feed.hears());
  world.feed.end_init();
  CHECK_FALSE(world.feed.hears());
}

TEST_CASE("a batch is full by items before its time") {
  Feeding world;
  world.subscribe(
      request_body(world.sink.port, R"(,"buffering":{"maxItems":1000})", R"("function")"));
  for (int i = 0; i < 1500; ++i) world.say("x");
  CHECK(world.events(0).size() == 1000);
  world.sink.settle();
  CHECK(world.sink.requests.size() == 1);
  world.pass(1s);
  CHECK(world.events(1).size() == 500);
}

TEST_CASE("what is not acknowledged is sent again") {
  Feeding world;
  world.sink.status = 500;
  world.subscribe(request_body(world.sink.port, "", R"("function")"));
  world.say("kept");
  world.pass(1s);
  CHECK(world.events(0).size() == 1);
  world.sink.status = 200;
  world.pass(100ms);
  CHECK(world.events(1)[0].string_or("record") == "kept");
  world.pass(10s);
  world.sink.settle();
  CHECK(world.sink.requests.size() == 2);
}

TEST_CASE("a consumer that falls behind loses events, and is told how many") {
  Feeding world;
  world.sink.status = 500;
  world.subscribe(
      request_body(world.sink.port, R"(,"buffering":{"maxItems":1000})", R"("function")"));
  for (int i = 0; i < 1000; ++i) world.say("x");
  world.events(0);  // under way, and refused
  for (int i = 0; i < 2007; ++i) world.say("y");
  world.sink.status = 200;
  world.pass(100ms);
  CHECK(world.events(1).size() == 1000);
  auto next = world.events(2);
  REQUIRE(next.size() == 1001);
  CHECK(next[1000].string_or("type") == "platform.logsDropped");
  CHECK(*next[1000].at({"record", "droppedRecords"}) == wire::Json(7));
}

TEST_CASE("a destination by TCP gets a line for each event") {
  Feeding world;
  world.sink.raw = true;
  world.subscribe(fmt::format(R"({{"schemaVersion":"2022-07-01","types":["function"],)"
                              R"("destination":{{"protocol":"TCP","port":{}}}}})",
                              world.sink.port));
  world.say("a");
  world.say("b");
  world.pass(1s);
  world.sink.await(100);
  CHECK(world.sink.bytes ==
        "{\"time\":\"2026-01-01T00:00:00.000Z\",\"type\":\"function\",\"record\":\"a\"}\n"
        "{\"time\":\"2026-01-01T00:00:00.000Z\",\"type\":\"function\",\"record\":\"b\"}\n");
}

TEST_CASE("records of functions with JSON logs are objects, from the schema on that has them") {
  for (std::string_view version : {"2022-07-01", "2022-12-13"}) {
    Feeding world(true);
    world.subscribe(request_body(world.sink.port, "", R"("function")", version));
    world.say(R"({"level":"INFO"})");
    world.say("{broken");
    world.pass(1s);
    auto events = world.events(0);
    bool objects = version == "2022-12-13";
    CHECK(events[0].find("record")->is_object() == objects);
    CHECK(events[1].find("record")->is_string());
  }
}

TEST_CASE("the Logs API has the older form of the platform's events") {
  Feeding world;
  std::string_view version = "2020-08-15";
  SUBCASE("without runtimeDone") {}
  SUBCASE("with it, since a later schema") { version = "2021-03-18"; }
  auto body = request_body(world.sink.port, "", R"("platform")", version);
  CHECK(world.subscribe(body, TelemetryForm::logs).status == 200);
  CHECK(world.subscribe(request_body(world.sink.port)).status == 400);  // not both
  WallTime now = world.clock.wall();
  RuntimeDone done{.request_id = "r1", .trace_header = "", .error_type = "", .produced_bytes = {}};
  Report report;
  report.request_id = "r1";
  report.duration = 5ms;
  world.feed.platform(runtime_done_event(done, now), EventForm::telemetry);
  world.feed.platform(runtime_done_logs_event(done, now), EventForm::logs_runtime_done);
  world.feed.platform(end_logs_event("r1", now), EventForm::logs);
  world.feed.platform(report_logs_event(report, now), EventForm::logs);
  world.pass(1s);
  std::vector<std::string> types;
  for (const auto& event : world.events(0)) types.emplace_back(event.string_or("type"));
  std::vector<std::string> wanted{"platform.logsSubscription", "platform.end", "platform.report"};
  if (version == "2021-03-18") wanted.insert(wanted.begin() + 1, "platform.runtimeDone");
  CHECK(types == wanted);
}

TEST_CASE("a second subscription of an extension takes the place of the first") {
  Feeding world;
  ApiSink other(world.loop);
  world.subscribe(request_body(world.sink.port, "", R"("function")"));
  CHECK(world.subscribe(request_body(other.port, "", R"("function")")).status == 200);
  world.say("x");
  world.pass(1s);
  other.await(1);
  world.sink.settle();
  CHECK(world.sink.requests.empty());
}

TEST_CASE("events of the platform are well-formed") {
  WallTime now{};
  guest::Extension extension{.name = "w\"x",
                             .id = "",
                             .external = true,
                             .wants_invoke = true,
                             .wants_shutdown = true,
                             .state = guest::ExtensionState::ready,
                             .error_type = ""};
  RuntimeDone done{.request_id = "r",
                   .trace_header = "Root=1",
                   .status = Status::error,
                   .error_type = "Runtime.ExitError",
                   .produced_bytes = 7};
  Report report;
  report.request_id = "r";
  report.init_duration = 3ms;
  for (const auto& text :
       {init_start_event({.initialization_type = "on-demand", .phase = "init"}, now),
        init_runtime_done_event("on-demand", "init", Status::success, "", now),
        start_event("r", "1", "Root=1", now), runtime_done_event(done, now),
        runtime_done_logs_event(done, now), end_logs_event("r", now),
        report_logs_event(report, now), fault_logs_event("RequestId: r \"x\"", now),
        extension_event(extension, now),
        subscription_event(TelemetryForm::logs, "w", {"platform"}, now)}) {
    INFO(text);
    auto parsed = wire::parse_json(text);
    REQUIRE(parsed);
    CHECK(parsed->string_or("type").starts_with("platform."));
    CHECK(parsed->find("record") != nullptr);
  }
  CHECK(extension_event(extension, now).contains(R"("events":["INVOKE","SHUTDOWN"])"));
  CHECK(subscription_text(TelemetryForm::telemetry, "w", {"platform", "function"}) ==
        "TELEMETRY\tName: w\tState: Subscribed\tTypes: [Platform, Function]");
}
