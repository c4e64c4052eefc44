#include "invoke/invoker.h"

#include "invoke/environment_spec.h"
#include "invoke/failure.h"
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;
using events::Outcome;

namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

std::string value_of(const sandbox::Spec& spec, std::string_view name) {
  for (const auto& entry : spec.env) {
    if (entry.starts_with(std::string(name) + "=")) return entry.substr(name.size() + 1);
  }
  return "<unset>";
}

io::Task<Result<guest::InvokeReply>> print_and_answer(sim::FakeInstance& instance,
                                                      guest::InvokeRequest request, Deadline) {
  instance.jail().write("hello from " + request.request_id + "\nno line feed");
  co_return sim::answer("\"done\"");
}
io::Task<Result<guest::InitReply>> slow_init(sim::FakeInstance& instance, Deadline deadline) {
  co_return std::unexpected(co_await sim::silence(instance.jail(), deadline));
}
io::Task<Result<guest::InitReply>> bad_init(sim::FakeInstance&, Deadline) {
  guest::InitReply reply;
  reply.error_type = "Runtime.ImportModuleError";
  reply.error_payload = R"({"errorType":"Runtime.ImportModuleError","errorMessage":"no index"})";
  co_return reply;
}
io::Task<Result<guest::InitReply>> exit_in_init(sim::FakeInstance& instance, Deadline) {
  instance.jail().end({.code = 1});
  co_return fail(ErrorKind::unavailable, "the guest went away");
}
io::Task<Result<guest::InvokeReply>> out_of_memory(sim::FakeInstance& instance,
                                                   guest::InvokeRequest, Deadline) {
  instance.jail().end({.code = -1, .signal = 9, .out_of_memory = true});
  co_return fail(ErrorKind::unavailable, "the guest went away");
}
io::Task<Result<guest::InvokeReply>> exit_silently(sim::FakeInstance& instance,
                                                   guest::InvokeRequest, Deadline) {
  instance.jail().end({.code = 0});
  co_return fail(ErrorKind::unavailable, "the guest went away");
}
io::Task<Result<guest::InvokeReply>> answer_too_much(sim::FakeInstance&, guest::InvokeRequest,
                                                     Deadline) {
  co_return fail(ErrorKind::too_large, "too \"large\"");
}

}  // namespace

TEST_CASE("an event runs, and the log shows it in order") {
  House house;
  house.launcher.script.invoke = print_and_answer;
  house.start();
  auto outcome = house.call(House::function());
  CHECK(outcome.kind == Outcome::Kind::ok);
  CHECK(outcome.payload == "\"done\"");
  CHECK(outcome.executed_version == "$LATEST");
  auto texts = house.observer.texts();
  REQUIRE(texts.size() == 6);
  CHECK(
      texts[0].starts_with("INIT_START Runtime Version: nodejs:20.v20.20.2\tRuntime Version "
                           "ARN: arn:aws:lambda:us-east-1::runtime:"));
  CHECK(texts[1] == "START RequestId: r1 Version: $LATEST");
  CHECK(texts[2] == "hello from r1");
  CHECK(texts[3] == "no line feed");
  CHECK(texts[4] == "END RequestId: r1");
  CHECK(texts[5].starts_with("REPORT RequestId: r1\tDuration: 0.00 ms\tBilled Duration: 1 ms"));
  CHECK(contains(texts[5], "\tMax Memory Used: 40 MB\tInit Duration: 0.00 ms"));
  CHECK(house.observer.lines[0].request_id.empty());
  CHECK(house.observer.lines[2].request_id == "r1");
  CHECK_FALSE(house.observer.lines[2].platform);
  CHECK(outcome.log_tail.starts_with("START RequestId: r1 Version: $LATEST\nhello from r1\n"));
  REQUIRE(house.observer.invocations.size() == 1);
  CHECK(house.observer.invocations[0].init_duration.has_value());
  CHECK(house.observer.invocations[0].max_memory_used_mb == 40);
  CHECK(house.observer.cold == 1);
}

TEST_CASE("a jail gets what the cloud's environment has") {
  House house;
  house.start();
  auto function = House::function();
  function.memory_mb = 1769;
  function.environment = {
      {"TABLE", "x"}, {"AWS_REGION", "mars-1"}, {"_HANDLER", "mine"}, {"TZ", ":Europe/Berlin"}};
  house.call(function);
  REQUIRE(house.launcher.jails.size() == 1);
  const auto& spec = house.launcher.jails[0]->spec;
  CHECK(value_of(spec, "TABLE") == "x");
  CHECK(value_of(spec, "AWS_REGION") == "us-east-1");
  CHECK(value_of(spec, "_HANDLER") == "index.handler");
  CHECK(value_of(spec, "TZ") == ":Europe/Berlin");
  CHECK(value_of(spec, "AWS_EXECUTION_ENV") == "AWS_Lambda_nodejs20.x");
  CHECK(value_of(spec, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE") == "1769");
  CHECK(value_of(spec, "AWS_ACCESS_KEY_ID") == "AKID");
  CHECK(value_of(spec, "AWS_SESSION_TOKEN") == "token");
  CHECK(value_of(spec, "AWS_ENDPOINT_URL") == "http://127.0.0.1:4566");
  CHECK(value_of(spec, "AWS_LAMBDA_LOG_STREAM_NAME") == house.observer.lines[0].stream);
  CHECK(value_of(spec, "AWS_LAMBDA_LOG_LEVEL") == "<unset>");
  CHECK(spec.limits.cpu_millis == 1000);
  CHECK(spec.limits.memory_bytes == 1769ull << 20);
  CHECK(spec.limits.tmp_bytes == 512ull << 20);
  CHECK(spec.channel);
  CHECK(spec.listen_ports == std::vector<std::uint16_t>{4566, 9001});
}

TEST_CASE("a custom runtime starts at its bootstrap and speaks HTTP") {
  House house;
  house.pack.name = house.pack.language = "provided";
  house.pack.guest = sandbox::GuestKind::runtime_api;
  auto function = House::function();
  function.environment["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/wrap";
  auto spec = environment_spec(function, house.pack, {}, "stream", InstanceId("i"));
  CHECK(spec.argv == std::vector<std::string>{"/opt/wrap", "/opt/bootstrap"});
  CHECK(spec.listen_ports == std::vector<std::uint16_t>{4566, 9001});
  CHECK_FALSE(spec.channel);
  CHECK_FALSE(spec.framed_log);
  CHECK(value_of(spec, "AWS_EXECUTION_ENV") == "<unset>");
  CHECK(value_of(spec, "AWS_LAMBDA_RUNTIME_API") == "127.0.0.1:9001");
}

TEST_CASE("a jail that cannot be made is an error, not an outcome") {
  House house;
  house.launcher.fail_with = Error{ErrorKind::unavailable, "no jail today", {}};
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  REQUIRE(*answer);
  CHECK((*answer)->error().message == "no jail today");
  CHECK(house.observer.invocations[0].outcome == InvocationOutcome::platform_error);
}

TEST_CASE("a program that cannot be executed is the function's error") {
  struct Case {
    Error error;
    std::string message;
  };
  std::string reason(sandbox::program_not_started);
  auto program = [] {
    House house;
    return environment_spec(House::function(), house.pack, {}, "s", InstanceId("i")).argv.front();
  }();
  for (const auto& c : {
           Case{{ErrorKind::denied, "sandbox: start the program: Permission denied", reason},
                "fork/exec " + program + ": permission denied"},
           Case{{ErrorKind::unavailable, "sandbox: start the program: Exec format error", reason},
                "fork/exec " + program + ": exec format error"},
       }) {
    House house;
    house.launcher.fail_with = c.error;
    house.start();
    auto answer = house.begin(House::function(), House::request("r1"));
    REQUIRE(*answer);
    REQUIRE((*answer)->has_value());
    const events::Outcome& outcome = ***answer;
    CHECK(outcome.kind == Outcome::Kind::function_error);
    CHECK(outcome.payload ==
          fmt::format(R"({{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: r1 )"
                      R"(Error: {}"}})",
                      c.message));
    CHECK(contains(house.observer.texts().back(), "Error Type: Runtime.InvalidEntrypoint"));
  }
  CHECK(invalid_entrypoint("/opt/bootstrap", {ErrorKind::not_found, "x: No such file", reason})
            .message == "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]");
}

TEST_CASE("a timeout kills the environment and says so") {
  House house;
  house.launcher.script.invoke = hang;
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  house.pass(2999ms);
  CHECK_FALSE(*answer);
  house.pass(1ms);
  REQUIRE(*answer);
  auto outcome = ***answer;
  CHECK(outcome.kind == Outcome::Kind::function_error);
  CHECK(outcome.error_class == "Unhandled");
  CHECK(outcome.payload ==
        R"({"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: )"
        R"(Task timed out after 3.00 seconds"})");
  auto texts = house.observer.texts();
  CHECK(texts[2] == "2026-01-01T00:00:03.000Z r1 Task timed out after 3.00 seconds");
  CHECK(contains(texts[4], "Duration: 3000.00 ms\tBilled Duration: 3000 ms"));
  CHECK(contains(texts[4], "\tStatus: timeout"));
  CHECK(house.observer.invocations[0].outcome == InvocationOutcome::timeout);
  CHECK(house.launcher.jails[0]->killed);
  // The next event gets a new environment.
  house.launcher.script.invoke = nullptr;
  CHECK(house.call(House::function(), "r2", "1").payload == "1");
  CHECK(house.launcher.jails.size() == 2);
}

TEST_CASE("a runtime that exits ends the invocation with its reason") {
  struct Case {
    sim::FakeScript::Invoke guest;
    std::string type;
    std::string message;
    InvocationOutcome outcome;
  };
  for (const auto& c : {
           Case{exit_with_3, "Runtime.ExitError", "Runtime exited with error: exit status 3",
                InvocationOutcome::crash},
           Case{exit_silently, "Runtime.ExitError", "Runtime exited without providing a reason",
                InvocationOutcome::crash},
           Case{out_of_memory, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed",
                InvocationOutcome::out_of_memory},
       }) {
    House house;
    house.launcher.script.invoke = c.guest;
    house.start();
    auto outcome = house.call(House::function());
    CHECK(outcome.payload == fmt::format(R"({{"errorType":"{}","errorMessage":"RequestId: r1 )"
                                         R"(Error: {}"}})",
                                         c.type, c.message));
    CHECK(house.observer.invocations[0].outcome == c.outcome);
    auto texts = house.observer.texts();
    CHECK(std::ranges::any_of(texts, [&c](const auto& text) {
      return contains(text, "\tStatus: error\tError Type: " + c.type);
    }));
    CHECK(house.invoker->totals().environments == 0);
  }
}

TEST_CASE("an error that the function reports keeps its environment") {
  House house;
  house.launcher.script.invoke = fail_handled;
  house.start();
  auto outcome = house.call(House::function());
  CHECK(outcome.kind == Outcome::Kind::function_error);
  CHECK(outcome.error_class == "Unhandled");
  CHECK(outcome.payload == R"({"errorType":"Error","errorMessage":"no"})");
  house.call(House::function(), "r2");
  CHECK(house.launcher.jails.size() == 1);
  CHECK(house.observer.invocations[1].outcome == InvocationOutcome::function_error);
  CHECK_FALSE(house.observer.invocations[1].init_duration);
}

TEST_CASE("an answer over the limit is an error of the function") {
  House house;
  house.launcher.script.invoke = answer_too_much;
  house.start();
  auto outcome = house.call(House::function());
  CHECK(outcome.payload ==
        R"({"errorType":"Function.ResponseSizeTooLarge","errorMessage":"too \"large\""})");
  CHECK(house.invoker->totals().environments == 1);
}

TEST_CASE("an init error is tried again in the invoke phase, then given to the caller") {
  House house;
  house.launcher.script.init = bad_init;
  house.start();
  auto outcome = house.call(House::function());
  CHECK(outcome.kind == Outcome::Kind::function_error);
  CHECK(outcome.payload ==
        R"({"errorType":"Runtime.ImportModuleError","errorMessage":"no index"})");
  CHECK(house.launcher.jails.size() == 2);
  auto texts = house.observer.texts();
  CHECK(contains(texts[1], "Phase: init\tStatus: error\tError Type: Runtime.ImportModuleError"));
  CHECK(texts[2] == "START RequestId: r1 Version: $LATEST");
  CHECK(contains(texts[3], "Phase: invoke\tStatus: error"));
  CHECK(house.observer.invocations[0].outcome == InvocationOutcome::init_error);
  CHECK_FALSE(house.observer.invocations[0].init_duration);
  CHECK(house.invoker->totals().environments == 0);
}

TEST_CASE("a runtime that exits while it starts") {
  House house;
  house.launcher.script.init = exit_in_init;
  house.start();
  CHECK(house.call(House::function()).payload ==
        R"({"errorType":"Runtime.ExitError","errorMessage":"RequestId: r1 Error: Runtime exited )"
        R"(with error: exit status 1"})");
}

TEST_CASE("an init over ten seconds is tried again within the function's timeout") {
  House house;
  house.launcher.script.init = slow_init;
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  house.pass(10s);
  CHECK(house.launcher.jails.size() == 2);
  CHECK(house.launcher.jails[0]->killed);
  CHECK(contains(house.observer.texts()[1],
                 "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout"));
  CHECK_FALSE(*answer);
  house.pass(3s);
  REQUIRE(*answer);
  CHECK(contains((**answer)->payload, "Task timed out after 3.00 seconds"));
}

TEST_CASE("a second init that works serves the event and those after it") {
  House house;
  house.launcher.script.init = bad_init;
  house.start();
  house.launcher.script.init = [&house](sim::FakeInstance& instance,
                                        Deadline deadline) -> io::Task<Result<guest::InitReply>> {
    house.launcher.script.init = nullptr;
    return bad_init(instance, deadline);
  };
  CHECK(house.call(House::function(), "r1", "7").payload == "7");
  CHECK(house.call(House::function(), "r2", "8").payload == "8");
  CHECK(house.launcher.jails.size() == 2);
}

TEST_CASE("JSON logs carry the platform's records at the configured level") {
  House house;
  house.start();
  auto function = House::function();
  function.json_logs = true;
  house.call(function);
  auto texts = house.observer.texts();
  REQUIRE(texts.size() == 3);
  CHECK(contains(texts[0], "\"type\":\"platform.initStart\""));
  CHECK(contains(texts[1], "\"type\":\"platform.start\",\"record\":{\"requestId\":\"r1\""));
  CHECK(contains(texts[2], "\"type\":\"platform.report\""));
  function.system_log_level = "WARN";
  function.pool_key += "2";
  house.observer.lines.clear();
  house.call(function);
  CHECK(house.observer.lines.empty());
  function.system_log_level = "DEBUG";
  function.pool_key += "3";
  house.call(function);
  auto kinds = [&] {
    std::vector<std::string> out;
    for (const auto& text : house.observer.texts()) {
      auto at = text.find("platform.") + 9;
      out.push_back(text.substr(at, text.find('"', at) - at));
    }
    return out;
  };
  CHECK(kinds() == std::vector<std::string>{"initStart", "initRuntimeDone", "initReport", "start",
                                            "runtimeDone", "report"});
  // What goes wrong is a warning.
  function.system_log_level = "WARN";
  function.pool_key += "4";
  house.launcher.script.invoke = exit_silently;
  house.observer.lines.clear();
  house.call(function);
  CHECK(kinds() == std::vector<std::string>{"runtimeDone", "report"});
}

TEST_CASE("a runtime that is not here is an error, a mapped one a warning in the log") {
  House house;
  house.runtime_error = Error{ErrorKind::invalid, "no such runtime", {}};
  house.start();
  auto answer = house.begin(House::function(), House::request("r1"));
  REQUIRE(*answer);
  CHECK((*answer)->error().kind == ErrorKind::invalid);
  house.runtime_error.reset();
  house.runtime_warning = "nodejs24.x runs on nodejs20.x";
  house.call(House::function());
  CHECK(house.observer.texts()[1] == "WARNING nodejs24.x runs on nodejs20.x");
}

TEST_CASE("a caller with a deadline leaves, the invocation goes on") {
  House house;
  house.launcher.script.invoke = hang;
  house.start();
  auto request = House::request("r1");
  request.event.deadline = house.loop.now() + 1s;
  auto answer = house.begin(House::function(), request);
  house.pass(1s);
  REQUIRE(*answer);
  CHECK((*answer)->error().kind == ErrorKind::timeout);
  CHECK(house.observer.invocations.empty());
  house.pass(2s);
  REQUIRE(house.observer.invocations.size() == 1);
  CHECK(house.observer.invocations[0].outcome == InvocationOutcome::timeout);
}

TEST_CASE("close waits for what runs, then kills it") {
  House house;
  house.launcher.script.invoke = hang;
  house.start();
  auto function = House::function();
  function.timeout_seconds = 100;
  auto answer = house.begin(function, House::request("r1"));
  bool closed = false;
  auto closing = [](House& h, bool& done) -> io::Task<void> {
    co_await h.invoker->close(h.loop.now() + 10s);
    done = true;
  };
  house.tasks.spawn(closing(house, closed));
  auto refused = house.begin(House::function(), House::request("r2"));
  REQUIRE(*refused);
  CHECK((*refused)->error().kind == ErrorKind::unavailable);
  house.pass(9s);
  CHECK_FALSE(closed);
  house.pass(1s);
  CHECK(closed);
  REQUIRE(*answer);
  CHECK((*answer)->error().kind == ErrorKind::unavailable);
  CHECK(house.observer.invocations[0].outcome == InvocationOutcome::cancelled);
}
