#include <doctest/doctest.h>

#include "base/limits.h"
#include "guest/channel.h"
#include "guest/extensions.h"
#include "sim/api_client.h"
#include "sim/manual_clock.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;
using sim::ApiClient;
using sim::body_of;
using sim::field_of;
using sim::http_get;
using sim::http_send;

constexpr std::string_view register_path = "/2020-01-01/extension/register";
constexpr std::string_view next_path = "/2020-01-01/extension/event/next";

std::string named(std::string_view name) {
  return fmt::format("Lambda-Extension-Name: {}\r\n", name);
}
std::string identified(std::string_view id, std::string_view more = {}) {
  return fmt::format("Lambda-Extension-Identifier: {}\r\n{}", id, more);
}
constexpr std::string_view both_events = R"({"events":["INVOKE","SHUTDOWN"]})";
constexpr std::string_view invoke_only = R"({"events":["INVOKE"]})";

io::Task<void> keep(io::Task<Result<>> task, std::optional<Result<>>& out) {
  out = co_await std::move(task);
}

struct World {
  sim::ManualClock clock;
  io::Loop loop{clock};
  SystemRandom random;
  std::vector<std::pair<std::string, TelemetryForm>> subscriptions;
  ExtensionApi api{
      loop,
      random,
      {.name = "hello", .version = "7", .handler = "index.handler", .account = "000000000000"},
      [this](const Extension& extension, TelemetryForm form, std::string_view) {
        subscriptions.emplace_back(extension.name, form);
        return SubscribeAnswer{};
      }};
  std::string address;
  io::TaskScope tasks{loop};

  World() {
    auto listener = io::listen_tcp("127.0.0.1", 0);
    REQUIRE(listener);
    address = io::address_of(*listener);
    api.listen(std::move(*listener));
  }
  ~World() {
    api.cancel();
    loop.run_until(tasks.close());
  }
  ApiClient client() { return {loop, address}; }
  std::string join(ApiClient& client, std::string_view name,
                   std::string_view events = both_events) {
    auto answer = client.call(http_send("POST", register_path, events, named(name)));
    REQUIRE(answer.starts_with("HTTP/1.1 200"));
    return field_of(answer, "Lambda-Extension-Identifier");
  }
  void start(io::Task<Result<>> task, std::optional<Result<>>& out) {
    tasks.spawn(keep(std::move(task), out));
    loop.run_ready();
  }
};

TEST_CASE("an external extension registers by its file name and hears of calls") {
  World world;
  world.api.expect("watcher");
  std::optional<Result<>> registered;
  std::optional<Result<>> ready;
  world.start(world.api.wait_registered(world.loop.now() + 10s), registered);
  world.start(world.api.wait_ready(world.loop.now() + 10s), ready);
  auto client = world.client();
  auto answer = client.call(http_send("POST", register_path, both_events, named("watcher")));
  CHECK(body_of(answer) ==
        R"({"functionName":"hello","functionVersion":"7","handler":"index.handler"})");
  auto id = field_of(answer, "Lambda-Extension-Identifier");
  CHECK(id.size() == 36);
  REQUIRE(registered);
  CHECK(registered->has_value());
  CHECK_FALSE(ready);
  client.send(http_get(next_path, identified(id)));
  CHECK_FALSE(client.answer());
  REQUIRE(ready);
  CHECK(ready->has_value());

  world.api.end_init();
  world.api.invoke({.request_id = "r1",
                    .invoked_function_arn = "arn:f",
                    .trace_header = "Root=1-2",
                    .deadline_epoch_ms = 1234});
  CHECK_FALSE(world.api.all_ready());
  auto event = client.receive();
  CHECK(body_of(event) ==
        R"({"eventType":"INVOKE","deadlineMs":1234,"requestId":"r1","invokedFunctionArn":"arn:f",)"
        R"("tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-2"}})");
  CHECK(field_of(event, "Lambda-Extension-Event-Identifier").size() == 36);
  client.send(http_get(next_path, identified(id)));
  CHECK(world.api.all_ready());

  std::optional<Result<>> down;
  world.api.shut_down("spindown", 99);
  world.start(world.api.wait_shut_down(world.loop.now() + 2s), down);
  CHECK(body_of(client.receive()) ==
        R"({"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":99})");
  CHECK_FALSE(down);
  world.api.process_ended("watcher", true, "exit code 0");
  world.loop.run_ready();
  REQUIRE(down);
  CHECK(down->has_value());
  CHECK_FALSE(world.api.fault());
  CHECK(world.api.extensions()[0]->state == ExtensionState::exited);
}

TEST_CASE("the account is told to who accepts the feature") {
  World world;
  world.api.expect("watcher");
  auto client = world.client();
  auto fields = named("watcher") + "Lambda-Extension-Accept-Feature: other, accountId\r\n";
  auto answer = client.call(http_send("POST", register_path, both_events, fields));
  CHECK(body_of(answer) == R"({"functionName":"hello","functionVersion":"7","handler":)"
                           R"("index.handler","accountId":"000000000000"})");
}

TEST_CASE("an internal extension has INVOKE alone, while the environment is initialised") {
  World world;
  auto client = world.client();
  auto refused = client.call(http_send("POST", register_path, both_events, named("inside")));
  CHECK(refused.starts_with("HTTP/1.1 403"));
  CHECK(refused.contains("Extension.InvalidEventType"));
  CHECK(refused.contains("SHUTDOWN: ShutdownEventNotSupportedForInternalExtension"));
  auto id = world.join(client, "inside", invoke_only);
  CHECK_FALSE(world.api.extensions()[0]->external);
  CHECK(client.call(http_send("POST", register_path, invoke_only, named("inside")))
            .contains("Extension with this name already registered"));
  client.send(http_get(next_path, identified(id)));
  world.api.end_registration();
  auto late = world.client();
  CHECK(late.call(http_send("POST", register_path, invoke_only, named("late")))
            .contains("Extension.RegistrationClosed"));
  // What shuts down is not told to it.
  world.api.shut_down("spindown", 1);
  CHECK_FALSE(client.answer());
  CHECK(world.api.shut_down_done());
}

TEST_CASE("at most ten extensions register") {
  World world;
  auto client = world.client();
  for (std::size_t i = 0; i < limits::extensions_max; ++i) {
    world.join(client, fmt::format("e{}", i), invoke_only);
  }
  auto answer = client.call(http_send("POST", register_path, invoke_only, named("one-more")));
  CHECK(answer.starts_with("HTTP/1.1 403"));
  CHECK(answer.contains("Extension.TooManyExtensions"));
  CHECK(answer.contains("Extension limit (10) reached"));
}

TEST_CASE("requests that are wrong are refused as the cloud does") {
  World world;
  world.api.expect("watcher");
  auto client = world.client();
  auto refused = [&](const std::string& request, std::string_view type) {
    auto answer = client.call(request);
    CHECK(answer.starts_with("HTTP/1.1 403"));
    CHECK(answer.contains(type));
  };
  refused(http_send("POST", register_path, both_events), "Extension.InvalidExtensionName");
  refused(http_send("POST", register_path, "[", named("watcher")), "InvalidRequestFormat");
  refused(http_send("POST", register_path, R"({"events":["PAUSE"]})", named("watcher")),
          "PAUSE: ErrorInvalidEventType");
  refused(http_get(next_path), "Extension.MissingExtensionIdentifier");
  refused(http_get(next_path, identified("nonsense")), "Extension.InvalidExtensionIdentifier");
  refused(http_get(next_path, identified("01234567-89ab-cdef-0123-456789abcdef")),
          "Extension.UnknownExtensionIdentifier");
  auto id = world.join(client, "watcher");
  refused(http_send("POST", register_path, both_events, named("watcher")),
          "State transition from Registered to Registered failed for extension watcher");
  refused(http_send("POST", "/2020-01-01/extension/init/error", "{}", identified(id)),
          "Extension.MissingHeader");
  CHECK(client.call(http_send("DELETE", register_path, "")).starts_with("HTTP/1.1 405"));
  CHECK(client.call(http_get("/2020-01-01/extension/other")).starts_with("HTTP/1.1 404"));
  CHECK(client.call(http_get("/2018-06-01/runtime/invocation/next")).starts_with("HTTP/1.1 404"));
  CHECK(client.call(http_get("/2018-06-01/ping")).ends_with("pong"));
}

TEST_CASE("an extension that gives up is a fault, and so is one whose process ends") {
  World world;
  world.api.expect("watcher");
  int faults = 0;
  world.api.on_fault([&] { ++faults; });
  auto client = world.client();
  auto id = world.join(client, "watcher");
  std::optional<Result<>> ready;
  world.start(world.api.wait_ready(world.loop.now() + 10s), ready);
  SUBCASE("init/error") {
    auto fields = identified(id, "Lambda-Extension-Function-Error-Type: Extension.NoConfig\r\n");
    auto answer = client.call(http_send("POST", "/2020-01-01/extension/init/error", "{}", fields));
    CHECK(answer.starts_with("HTTP/1.1 202"));
    CHECK(world.api.fault()->type == "Extension.InitError");
    CHECK(world.api.fault()->message == "Extension.NoConfig");
    // The process that ends afterwards changes nothing.
    world.api.process_ended("watcher", false, "exit status 1");
    CHECK(world.api.fault()->type == "Extension.InitError");
    CHECK(world.api.extensions()[0]->state == ExtensionState::init_error);
  }
  SUBCASE("exit/error") {
    auto fields = identified(id, "Lambda-Extension-Function-Error-Type: Extension.Broke\r\n");
    client.call(http_send("POST", "/2020-01-01/extension/exit/error", "{}", fields));
    CHECK(world.api.fault()->type == "Extension.ExitError");
  }
  SUBCASE("its process ends") {
    world.api.process_ended("watcher", true, "exit code 0");
    CHECK(world.api.fault()->type == "Extension.Crash");
    CHECK(world.api.fault()->message == "exit code 0");
  }
  SUBCASE("it was never there") {
    world.api.launch_failed("watcher", "PermissionDenied", "fork/exec x: permission denied");
    CHECK(world.api.fault()->type == "Extension.LaunchError");
    CHECK(world.api.extensions()[0]->error_type == "PermissionDenied");
  }
  world.loop.run_ready();
  REQUIRE(ready);
  CHECK_FALSE(ready->has_value());
  CHECK(faults == 1);
}

TEST_CASE("waiting ends at the deadline") {
  World world;
  world.api.expect("watcher");
  std::optional<Result<>> registered;
  world.start(world.api.wait_registered(world.loop.now() + 10s), registered);
  world.clock.advance(9s);
  world.loop.run_ready();
  CHECK_FALSE(registered);
  world.clock.advance(2s);
  world.loop.run_ready();
  REQUIRE(registered);
  CHECK(registered->error().kind == ErrorKind::timeout);
}

TEST_CASE("an event waits for an extension whose connection was lost") {
  World world;
  world.api.expect("watcher");
  auto first = std::make_optional(world.client());
  auto id = world.join(*first, "watcher");
  first->send(http_get(next_path, identified(id)));
  first.reset();
  world.loop.run_ready();
  world.api.invoke({.request_id = "r1"});
  CHECK_FALSE(world.api.all_ready());
  auto second = world.client();
  CHECK(second.call(http_get(next_path, identified(id))).contains("\"r1\""));
}

TEST_CASE("subscriptions are passed on until the environment is initialised") {
  World world;
  world.api.expect("watcher");
  auto client = world.client();
  auto id = world.join(client, "watcher");
  CHECK(body_of(client.call(http_send("PUT", "/2022-07-01/telemetry", "{}", identified(id)))) ==
        "\"OK\"");
  CHECK(client.call(http_send("PUT", "/2020-08-15/logs", "{}", identified(id)))
            .starts_with("HTTP/1.1 200"));
  REQUIRE(world.subscriptions.size() == 2);
  CHECK(world.subscriptions[0].second == TelemetryForm::telemetry);
  CHECK(world.subscriptions[1].second == TelemetryForm::logs);
  world.api.end_init();
  CHECK(client.call(http_send("PUT", "/2022-07-01/telemetry", "{}", identified(id)))
            .contains("Telemetry.SubscriptionClosed"));
  CHECK(world.subscriptions.size() == 2);
}

TEST_CASE("a runtime by HTTP has its extensions on the same port") {
  World world;
  auto listener = io::listen_tcp("127.0.0.1", 0);
  REQUIRE(listener);
  auto address = io::address_of(*listener);
  auto channel = make_runtime_api_channel(world.loop, std::move(*listener));
  ApiClient client(world.loop, address);
  CHECK(client.call(http_send("POST", register_path, invoke_only, named("inside")))
            .starts_with("HTTP/1.1 404"));
  CHECK(channel->serve_extensions(world.api));
  auto id = world.join(client, "inside", invoke_only);
  client.send(http_get(next_path, identified(id)));
  CHECK(world.api.all_ready());
  world.api.invoke({.request_id = "r9"});
  CHECK(client.receive().contains("\"r9\""));
}

}  // namespace
}  // namespace mayfly::guest
