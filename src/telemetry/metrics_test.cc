#include <doctest/doctest.h>

#include "base/limits.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "telemetry/telemetry.h"

using namespace mayfly;
using namespace mayfly::telemetry;

namespace {

struct Told {
  sim::ManualClock clock;
  io::Loop loop{clock};
  sim::MemoryStore disk{loop};
  std::unique_ptr<LogStore> logs = *loop.run_until(LogStore::open(loop, disk));
  Registry registry;
  Telemetry telemetry{*logs, registry};
  Scope scope{AccountId("000000000000"), Region("us-east-1")};
};

}  // namespace

TEST_CASE("metrics: counters, gauges and histograms in the text format") {
  Registry registry;
  auto& calls = registry.counter("x_calls_total", "Calls\nof \\ x.", {"op", "code"});
  calls.with({"Get", "200"}).add();
  calls.with({"Get", "200"}).add(2);
  calls.with({"a\"b\\c\nd", "500"}).add();
  registry.gauge("x_open", "Open.").with({}).set(1.5);
  auto& time = registry.histogram("x_time_seconds", "Time.", {"op"}, {0.1, 1});
  for (double value : {0.05, 0.1, 0.5, 3.0}) time.with({"Get"}).observe(value);
  registry.gauge_function("x_asked_bytes", "Asked.", [] { return 7.0; });
  CHECK(registry.expose() ==
        "# HELP x_asked_bytes Asked.\n# TYPE x_asked_bytes gauge\nx_asked_bytes 7\n"
        "# HELP x_calls_total Calls\\nof \\\\ x.\n# TYPE x_calls_total counter\n"
        "x_calls_total{op=\"Get\",code=\"200\"} 3\n"
        "x_calls_total{op=\"a\\\"b\\\\c\\nd\",code=\"500\"} 1\n"
        "# HELP x_open Open.\n# TYPE x_open gauge\nx_open 1.5\n"
        "# HELP x_time_seconds Time.\n# TYPE x_time_seconds histogram\n"
        "x_time_seconds_bucket{op=\"Get\",le=\"0.1\"} 2\n"
        "x_time_seconds_bucket{op=\"Get\",le=\"1\"} 3\n"
        "x_time_seconds_bucket{op=\"Get\",le=\"+Inf\"} 4\n"
        "x_time_seconds_sum{op=\"Get\"} 3.65\nx_time_seconds_count{op=\"Get\"} 4\n");
}

TEST_CASE("metrics: the series of a family are bounded") {
  Registry registry;
  auto& calls = registry.counter("x_total", "X.", {"name"});
  for (std::size_t i = 0; i < limits::metric_series + 10; ++i) {
    calls.with({fmt::format("n{}", i)}).add();
  }
  CHECK(calls.series().size() == limits::metric_series + 1);
  CHECK(calls.with({"other"}).value() == 10);
}

TEST_CASE("telemetry: reports become metrics and lines") {
  Told told;
  auto& [clock, loop, disk, logs, registry, telemetry, scope] = told;
  telemetry.invocation_started({scope, "f", true});
  CHECK(registry.expose().find("mayfly_invocations_running{account=\"000000000000\",region="
                               "\"us-east-1\",function=\"f\"} 1\n") != std::string::npos);
  InvocationReport report{.scope = scope,
                          .function_arn = "arn",
                          .function = "f",
                          .version = "$LATEST",
                          .request_id = "r"};
  report.duration = std::chrono::milliseconds(30);
  report.max_memory_used_mb = 2;
  report.cpu = std::chrono::milliseconds(500);
  report.page_faults = 12;
  report.bytes_in = 3;
  report.bytes_out = 4;
  telemetry.invocation(report);
  report.outcome = InvocationOutcome::throttled;
  telemetry.invocation(report);
  telemetry.api_call({"lambda", "Invoke", 200, "", std::chrono::milliseconds(2)});
  InstanceId instance("i");
  telemetry.log_line(
      {scope, instance, "f", "$LATEST", "/aws/lambda/f", "s", "r", clock.wall(), "hello", false});
  auto text = registry.expose();
  for (auto line : {"mayfly_invocations_running{account=\"000000000000\",region=\"us-east-1\","
                    "function=\"f\"} 0\n",
                    "type=\"request_response\",outcome=\"success\"} 1\n",
                    "mayfly_invocation_cpu_seconds_total{account=\"000000000000\",region="
                    "\"us-east-1\",function=\"f\"} 0.5\n",
                    "function=\"f\"} 12\n", "direction=\"in\"} 3\n", "direction=\"out\"} 4\n",
                    "type=\"request_response\",outcome=\"throttled\"} 1\n",
                    "mayfly_api_requests_total{service=\"lambda\",operation=\"Invoke\",status="
                    "\"200\"} 1\n",
                    "function=\"f\",le=\"0.05\"} 1\n", "mayfly_log_lines_total 1\n",
                    "function=\"f\"} 2097152\n"}) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
  loop.run_until(logs->close());
  CHECK(logs->total_bytes() == 13);
}

TEST_CASE("telemetry: series of a deleted function end with its last call") {
  Told told;
  auto& [clock, loop, disk, logs, registry, telemetry, scope] = told;
  auto start = [&](std::string_view name) { telemetry.invocation_started({scope, name, true}); };
  auto end = [&](std::string_view name) {
    telemetry.invocation({.scope = scope,
                          .function_arn = "arn",
                          .function = name,
                          .version = "$LATEST",
                          .request_id = "r"});
  };
  auto told_of = [&](std::string_view name) {
    return registry.expose().contains(fmt::format("function=\"{}\"", name));
  };
  for (auto name : {"f", "ff", "e"}) start(name), end(name);
  CHECK(told_of("f"));

  SUBCASE("at once where none runs, and others stay") {
    telemetry.function_deleted(scope, FunctionName("f"));
    CHECK_FALSE(told_of("f"));
    CHECK(told_of("ff"));
    CHECK(told_of("e"));
    start("f");
    CHECK(told_of("f"));
  }
  SUBCASE("while one runs it is still told of") {
    start("f"), start("f");
    telemetry.function_deleted(scope, FunctionName("f"));
    end("f");
    CHECK(
        registry.expose().contains("mayfly_invocations_running{account=\"000000000000\",region="
                                   "\"us-east-1\",function=\"f\"} 1\n"));
    end("f");
    CHECK_FALSE(told_of("f"));
  }
  SUBCASE("one of the same name that was made since has them") {
    start("f");
    telemetry.function_deleted(scope, FunctionName("f"));
    start("f");
    end("f"), end("f");
    CHECK(told_of("f"));
  }
  SUBCASE("room for as many functions as there are, not as there were") {
    auto functions = limits::metric_series + 10;
    for (std::size_t i = 0; i < functions; ++i) {
      auto name = fmt::format("n{}", i);
      start(name), end(name);
      telemetry.function_deleted(scope, FunctionName(name));
    }
    CHECK_FALSE(told_of("other"));
    CHECK_FALSE(told_of("n1"));
  }
  loop.run_until(logs->close());
}
