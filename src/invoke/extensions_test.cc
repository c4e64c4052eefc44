// Environments with extensions, on the clock that is moved by hand: the extensions are clients of
// this test, their processes are the fake jail's.
#include <csignal>

#include "invoke/environment_spec.h"
#include "invoke/extension_house_for_tests.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;
using sim::body_of;

namespace {

sandbox::ProcessEnd program_ends(int code = 0) { return {.companion = -1, .exit = {.code = code}}; }
sandbox::ProcessEnd companion_ends(int code = 0) {
  return {.companion = 0, .exit = {.code = code}};
}

std::string error_of(const House::Answer& answer) { return (*answer)->payload; }

}  // namespace

TEST_CASE("external extensions start first, and Init waits for all") {
  ExtensionHouse house({"watcher", "beta"});
  auto answer = house.begin_call();
  REQUIRE(house.launcher.jails.size() == 1);
  const auto& spec = house.jail().spec;
  REQUIRE(spec.companions.size() == 2);
  CHECK(spec.companions[0].argv == std::vector<std::string>{"/opt/extensions/beta"});
  CHECK(spec.companions[1].argv == std::vector<std::string>{"/opt/extensions/watcher"});
  auto has = [&](std::string_view name) {
    return std::ranges::any_of(spec.companions[0].env,
                               [&](const auto& variable) { return variable.starts_with(name); });
  };
  CHECK(has("AWS_LAMBDA_RUNTIME_API="));
  CHECK(has("AWS_LAMBDA_FUNCTION_NAME="));
  CHECK_FALSE(has("_HANDLER="));
  CHECK_FALSE(has("LAMBDA_TASK_ROOT="));
  CHECK_FALSE(has("_LAMBDA_TELEMETRY_LOG_FD="));
  CHECK(spec.listen_ports == std::vector<std::uint16_t>{4566, 9001});
  CHECK(spec.sockets == 3);

  auto beta = house.join("beta");
  CHECK_FALSE(house.jail().program_started);
  auto watcher = house.join("watcher", R"({"events":["SHUTDOWN"]})");
  CHECK(house.jail().program_started);
  beta.ask();
  CHECK_FALSE(*answer);
  watcher.ask();
  CHECK(house.logged("EXTENSION\tName: beta\tState: Ready\tEvents: [INVOKE,SHUTDOWN]"));
  CHECK(house.logged("EXTENSION\tName: watcher\tState: Ready\tEvents: [SHUTDOWN]"));
  REQUIRE(*answer);
  CHECK(beta.event().contains("\"requestId\":\"r1\""));
  CHECK(watcher.hears_nothing());
}

TEST_CASE("the caller has its answer before the extension is done, the environment is not free") {
  ExtensionHouse house;
  auto answer = house.begin_call();
  auto watcher = house.join();
  watcher.ask();
  auto event = watcher.event();
  CHECK(event.contains(R"("eventType":"INVOKE")"));
  CHECK(event.contains(R"("invokedFunctionArn":"arn")"));
  REQUIRE(*answer);
  CHECK((**answer)->payload == "{}");
  CHECK_FALSE(house.logged("REPORT"));
  CHECK(house.invoker->totals().busy == 1);
  // Another call cannot have this environment.
  auto second = house.begin_call("r2");
  CHECK_FALSE(*second);
  CHECK(house.launcher.jails.size() == 2);
  house.pass(70ms);
  watcher.ask();
  CHECK(house.logged("REPORT RequestId: r1\tDuration: 70.00 ms"));
  // It came back first, and serves the second call.
  REQUIRE(*second);
  CHECK(watcher.event().contains("\"r2\""));
  watcher.ask();
  CHECK(house.invoker->totals().busy == 0);
  REQUIRE(house.observer.invocations.size() == 2);
  CHECK(house.observer.invocations[0].extensions == 70ms);
}

TEST_CASE("an extension's lines go to the function's log and do not count as the function's") {
  ExtensionHouse house;
  auto answer = house.begin_call();
  house.jail().write_as_extension("I watch\n");
  auto watcher = house.join();
  watcher.ask();
  REQUIRE(*answer);
  CHECK(house.logged("I watch"));
  watcher.event();
  watcher.ask();
}

namespace {

void shuts_down(bool runtime_ends, bool extension_ends) {
  ExtensionHouse house;
  auto answer = house.begin_call();
  auto watcher = house.join();
  watcher.ask();
  watcher.event();
  watcher.ask();
  REQUIRE(*answer);
  house.pass(house.settings.idle_lifetime);
  auto& jail = house.jail();
  CHECK(jail.signals == std::vector<int>{SIGTERM});
  CHECK_FALSE(jail.frozen);
  CHECK(watcher.hears_nothing());
  if (runtime_ends) {
    jail.ends.push(program_ends());
    house.loop.run_ready();
    CHECK_FALSE(jail.program_killed);
  } else {
    house.pass(599ms);
    CHECK_FALSE(jail.program_killed);
    house.pass(2ms);
    CHECK(jail.program_killed);
  }
  auto event = watcher.event();
  CHECK(event.contains(R"("eventType":"SHUTDOWN","shutdownReason":"spindown")"));
  CHECK_FALSE(jail.killed);
  if (extension_ends) {
    jail.ends.push(companion_ends());
    house.loop.run_ready();
  } else {
    house.pass(1398ms);
    CHECK_FALSE(jail.killed);
    house.pass(602ms);
  }
  CHECK(jail.killed);
  CHECK(house.launcher.alive() == 0);
}

}  // namespace

TEST_CASE("Shutdown: SIGTERM to the runtime, SHUTDOWN to the extension, and the jail ends") {
  SUBCASE("both end by themselves") { shuts_down(true, true); }
  SUBCASE("the runtime is killed") { shuts_down(false, true); }
  SUBCASE("the extension is killed") { shuts_down(true, false); }
  SUBCASE("both are killed") { shuts_down(false, false); }
}

TEST_CASE("an extension that fails makes Init fail, with its reason") {
  ExtensionHouse house;
  auto answer = house.begin_call();
  auto& jail = house.jail();
  std::string type;
  std::string text;
  SUBCASE("it ends") {
    jail.ends.push(companion_ends());
    type = "Extension.Crash";
    text = "Error: exit code 0";
  }
  SUBCASE("it ends with a status") {
    jail.ends.push(companion_ends(3));
    type = "Extension.Crash";
    text = "Error: exit status 3";
  }
  SUBCASE("it cannot be started") {
    jail.ends.push({.companion = 0, .exit = {}, .error = EACCES});
    type = "Extension.LaunchError";
    text = "Error: fork/exec /opt/extensions/watcher: permission denied";
  }
  house.loop.run_ready();
  CHECK(house.logged(
      "INIT_REPORT Init Duration: 0.00 ms\tPhase: init\tStatus: error\tError Type: " + type));
  // The first call tries once more, in another jail.
  house.pass(2s);
  REQUIRE(house.launcher.jails.size() == 2);
  house.jail(1).ends.push(companion_ends());
  house.pass(100ms);
  house.pass(2s);
  REQUIRE(*answer);
  CHECK((**answer)->kind == events::Outcome::Kind::function_error);
  CHECK(house.logged("Status: error\tError Type: Extension.Crash"));
  CHECK(error_of(*answer).contains(R"("errorType":"Extension.Crash")"));
  if (type == "Extension.LaunchError") {
    CHECK(
        house.logged("EXTENSION\tName: watcher\tState: LaunchError\tEvents: []\tError Type: "
                     "PermissionDenied"));
  }
}

TEST_CASE("an extension that never registers: Init ends after its time") {
  ExtensionHouse house;
  auto answer = house.begin_call();
  house.pass(10s);
  CHECK(house.logged("Phase: init\tStatus: timeout"));
  house.pass(2s);
  house.pass(3s);  // the call's own time, in which it is tried again
  house.pass(2s);
  REQUIRE(*answer);
  CHECK(error_of(*answer).contains("Task timed out after 3.00 seconds"));
}

TEST_CASE("an extension that crashes in a call fails it; the others hear of a failure") {
  ExtensionHouse house({"watcher", "zeta"});
  house.launcher.script.invoke = hang;
  auto answer = house.begin_call();
  auto watcher = house.join();
  auto zeta = house.join("zeta");
  watcher.ask();
  zeta.ask();
  watcher.event();
  zeta.event();
  house.jail().ends.push(companion_ends(1));
  house.loop.run_ready();
  house.pass(20ms);
  REQUIRE(*answer);
  CHECK(error_of(*answer) ==
        R"({"errorType":"Extension.Crash","errorMessage":"RequestId: r1 Error: exit status 1"})");
  house.jail().ends.push(program_ends());
  house.loop.run_ready();
  zeta.ask();
  CHECK(zeta.event().contains(R"("shutdownReason":"failure")"));
  house.pass(2s);
  CHECK(house.jail().killed);
}

TEST_CASE("a function that times out: its extensions hear why the environment ends") {
  ExtensionHouse house;
  house.launcher.script.invoke = hang;
  auto answer = house.begin_call();
  auto watcher = house.join();
  watcher.ask();
  watcher.event();
  house.pass(3s);
  REQUIRE(*answer);
  CHECK(error_of(*answer).contains("Task timed out after 3.00 seconds"));
  CHECK(house.jail().signals == std::vector<int>{SIGTERM});
  house.pass(600ms);
  watcher.ask();
  CHECK(watcher.event().contains(R"("shutdownReason":"timeout")"));
  house.pass(2s);
  CHECK(house.jail().killed);
}

TEST_CASE("an extension that takes longer than the function may: the environment is given up") {
  ExtensionHouse house;
  auto answer = house.begin_call();
  auto watcher = house.join();
  watcher.ask();
  watcher.event();
  REQUIRE(*answer);
  CHECK((**answer)->kind == events::Outcome::Kind::ok);
  house.pass(3s);
  CHECK(house.logged("REPORT RequestId: r1\tDuration: 3000.00 ms"));
  CHECK(house.logged("Status: timeout"));
  CHECK(house.observer.invocations.at(0).outcome == InvocationOutcome::timeout);
  house.pass(2s);
  CHECK(house.jail().killed);
}

TEST_CASE("an extension that ends while nothing runs: the next call has another environment") {
  ExtensionHouse house;
  auto answer = house.begin_call();
  auto watcher = house.join();
  watcher.ask();
  watcher.event();
  watcher.ask();
  REQUIRE(*answer);
  house.jail().ends.push(companion_ends());
  house.loop.run_ready();
  house.pass(2s);
  CHECK(house.jail().killed);
  house.begin_call("r2");
  CHECK(house.launcher.jails.size() == 2);
}

TEST_CASE("a subscription hears of Init from its start, and of calls") {
  ExtensionHouse house;
  sim::ApiSink sink(house.loop);
  auto function = house.layered();
  function.per_tenant = true;
  auto call = House::request("r1");
  call.event.tenant_id = "blue";
  auto answer = house.begin(function, call);
  house.jail().write_as_extension("about to subscribe\n");
  auto watcher = house.join();
  auto body = fmt::format(R"({{"schemaVersion":"2022-12-13","types":["platform","function",)"
                          R"("extension"],"destination":{{"protocol":"HTTP",)"
                          R"("URI":"http://sandbox:{}"}}}})",
                          sink.port);
  CHECK(watcher.subscribe("/2022-07-01/telemetry", body).contains("\"OK\""));
  CHECK(
      house.logged("TELEMETRY\tName: watcher\tState: Subscribed\tTypes: [Platform, Function, "
                   "Extension]"));
  watcher.ask();
  watcher.event();
  REQUIRE(*answer);
  watcher.ask();
  CHECK(watcher.hears_nothing());
  house.pass(1s);
  sink.await(1);
  auto parsed = wire::parse_json(body_of(sink.requests[0]));
  REQUIRE(parsed);
  std::string types;
  for (const auto& event : *parsed->as<wire::JsonArray>()) {
    types += event.string_or("type");
    types += ' ';
    bool start = event.string_or("type") == "platform.start";
    if (start) CHECK(event.at({"record", "tenantId"})->string_value() == "blue");
  }
  CHECK(types ==
        "platform.initStart extension platform.initRuntimeDone platform.telemetrySubscription "
        "platform.extension platform.initReport platform.start platform.runtimeDone "
        "platform.report ");
}

TEST_CASE("of a version with SnapStart a subscription hears of the hooks after a restore") {
  for (bool with_hooks : {true, false}) {
    ExtensionHouse house;
    sim::ApiSink sink(house.loop);
    house.launcher.script.init = [with_hooks](sim::FakeInstance&,
                                              Deadline) -> io::Task<Result<guest::InitReply>> {
      auto reply = sim::ready();
      if (with_hooks) reply.restored = 40ms;
      co_return reply;
    };
    auto function = house.layered();
    function.version = "1";
    function.snap_start = true;
    auto answer = house.begin(function, House::request("r1"));
    auto watcher = house.join();
    auto body = fmt::format(R"({{"schemaVersion":"2022-12-13","types":["platform"],)"
                            R"("destination":{{"protocol":"HTTP","URI":"http://sandbox:{}"}}}})",
                            sink.port);
    CHECK(watcher.subscribe("/2022-07-01/telemetry", body).contains("\"OK\""));
    watcher.ask();
    watcher.event();
    REQUIRE(*answer);
    watcher.ask();
    CHECK(watcher.hears_nothing());
    house.pass(1s);
    sink.await(1);
    auto parsed = wire::parse_json(body_of(sink.requests[0]));
    REQUIRE(parsed);
    std::string types;
    double duration = 0;
    for (const auto& event : *parsed->as<wire::JsonArray>()) {
      auto type = event.string_or("type");
      if (type.starts_with("platform.restore")) types += std::string(type.substr(9)) + " ";
      if (type == "platform.initReport") types += "initReport ";
      if (type == "platform.restoreReport") {
        duration = event.at({"record", "metrics", "durationMs"})->number_value();
        CHECK(event.at({"record", "status"})->string_value() == "success");
      }
    }
    CHECK(types == (with_hooks ? "initReport restoreStart restoreRuntimeDone restoreReport "
                               : "initReport "));
    CHECK(duration == (with_hooks ? 40 : 0));
  }
}

TEST_CASE("more than ten external extensions are one too many") {
  std::vector<std::string> names;
  for (char c = 'a'; c < 'a' + 11; ++c) names.emplace_back(1, c);
  ExtensionHouse house(names);
  house.begin_call();
  CHECK(house.jail().spec.companions.size() == 10);
  CHECK(
      house.logged("EXTENSION\tName: k\tState: LaunchError\tEvents: []\tError Type: "
                   "TooManyExtensions"));
  CHECK(house.logged("Error Type: Extension.LaunchError"));
  house.pass(20s);
}

TEST_CASE("environments with external extensions are not forked") {
  ExtensionHouse house;
  house.pack.forks = true;
  CHECK(forking_refused(house.layered(), house.pack) == "it has external extensions");
  CHECK(forking_refused(House::function(), house.pack).empty());
  house.pack.specialises = true;
  CHECK(specialising_refused(house.layered(), house.pack) == "it has external extensions");
  house.begin_call();
  CHECK(
      house.logged("INFO Environments of this version start one by one: it has external "
                   "extensions"));
}

namespace {

io::Task<Result<guest::InitReply>> wait_a_second(sim::FakeInstance& instance, Deadline) {
  auto wake = co_await instance.jail().gone.wait(instance.jail().started_at + 1s);
  if (wake == io::Wake::notified) co_return fail(ErrorKind::unavailable, "the guest went away");
  co_return sim::ready();
}

}  // namespace

TEST_CASE("an internal extension registers from within the runtime's Init") {
  House house;
  house.settings.fork_environments = false;
  house.settings.spares = 0;
  house.launcher.script.init = wait_a_second;
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  auto& jail = *house.launcher.jails.at(0);
  CHECK(jail.spec.companions.empty());
  Extension inside(house.loop, jail, "inside", R"({"events":["INVOKE"]})");
  house.pass(1s);
  CHECK_FALSE(*answer);  // it has not asked for its first event
  inside.ask();
  CHECK(inside.event().contains("\"r1\""));
  REQUIRE(*answer);
  inside.ask();
  house.pass(house.settings.idle_lifetime);
  CHECK(jail.signals == std::vector<int>{SIGTERM});
  house.pass(499ms);
  CHECK_FALSE(jail.killed);
  house.pass(2ms);
  CHECK(jail.killed);
}

TEST_CASE("an environment without extensions ends at once") {
  House house;
  house.start();
  house.call(House::function());
  auto& jail = *house.launcher.jails.at(0);
  house.pass(house.settings.idle_lifetime);
  CHECK(jail.killed);
  CHECK(jail.signals.empty());
}
