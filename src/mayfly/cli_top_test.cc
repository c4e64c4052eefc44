#include "mayfly/cli_top.h"

#include <doctest/doctest.h>

namespace mayfly::cli {
namespace {

const std::string metrics =
    "# HELP mayfly_invocations_total Invocations that ended.\n"
    "# TYPE mayfly_invocations_total counter\n"
    "mayfly_invocations_total{account=\"0\",region=\"r\",function=\"a\",type=\"event\",outcome="
    "\"success\"} 7\n"
    "mayfly_invocations_total{account=\"0\",region=\"r\",function=\"a\",type=\"request_response\","
    "outcome=\"timeout\"} 2\n"
    "mayfly_invocations_total{account=\"0\",region=\"r\",function=\"a\",type=\"request_response\","
    "outcome=\"throttled\"} 5\n"
    "mayfly_invocation_duration_seconds_bucket{account=\"0\",region=\"r\",function=\"a\",le=\"1\"} "
    "9\n"
    "mayfly_invocation_duration_seconds_sum{account=\"0\",region=\"r\",function=\"a\"} 4.5\n"
    "mayfly_invocation_cpu_seconds_total{account=\"0\",region=\"r\",function=\"a\"} 1.25\n"
    "mayfly_invocation_bytes_total{account=\"0\",region=\"r\",function=\"a\",direction=\"in\"} 11\n"
    "mayfly_invocation_bytes_total{account=\"0\",region=\"r\",function=\"a\",direction=\"out\"} "
    "12\n"
    "mayfly_invocations_running{account=\"0\",region=\"r\",function=\"b\"} 3\n"
    "mayfly_function_memory_used_bytes{account=\"0\",region=\"r\",function=\"b\"} 1048576\n"
    "mayfly_functions 2\n";

TEST_CASE("the functions of a server are read out of its metrics") {
  auto loads = read_loads(metrics);
  REQUIRE(loads.size() == 2);
  const auto& a = loads[0];
  CHECK(a.name == "a");
  CHECK(a.account == "0");
  CHECK(a.region == "r");
  CHECK(a.calls == 9);
  CHECK(a.errors == 2);
  CHECK(a.throttles == 5);
  CHECK(a.seconds == 4.5);
  CHECK(a.cpu_seconds == 1.25);
  CHECK(a.bytes_in == 11);
  CHECK(a.bytes_out == 12);
  CHECK(loads[1].running == 3);
  CHECK(loads[1].memory_bytes == 1048576);
  CHECK(read_loads("").empty());
  CHECK(read_loads("mayfly_invocations_total{function=\"x").empty());
  CHECK(
      read_loads("mayfly_invocations_total{function=\"x\\\"y\",outcome=\"success\"} 1\n")[0].name ==
      "x\"y");
}

TEST_CASE("an interval is what came since, but for what is there now") {
  auto before = read_loads(metrics);
  auto now = before;
  now[0].calls = 12;
  now[0].cpu_seconds = 2.25;
  now[1].running = 1;
  FunctionLoad fresh;
  fresh.name = "c";
  fresh.calls = 4;
  now.push_back(fresh);
  auto since = loads_since(before, now);
  CHECK(since[0].calls == 3);
  CHECK(since[0].cpu_seconds == 1);
  CHECK(since[1].running == 1);
  CHECK(since[1].memory_bytes == 1048576);
  CHECK(since[2].calls == 4);
  // A server that was started anew counts from nothing.
  now[0].calls = 1;
  CHECK(loads_since(before, now)[0].calls == 1);
}

TEST_CASE("loads are sorted by what is asked for") {
  auto loads = read_loads(metrics);
  REQUIRE(sort_loads(loads, "memory"));
  CHECK(loads[0].name == "b");
  REQUIRE(sort_loads(loads, "cpu"));
  CHECK(loads[0].name == "a");
  REQUIRE(sort_loads(loads, "name"));
  CHECK(loads[0].name == "a");
  CHECK(sort_loads(loads, "colour").error().kind == ErrorKind::invalid);
}

}  // namespace
}  // namespace mayfly::cli
