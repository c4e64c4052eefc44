#include "services/lambda/lineage.h"

#include <doctest/doctest.h>

#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

const std::string f = "arn:aws:lambda:us-east-1:000000000000:function:f";
const std::string g = "arn:aws:lambda:us-east-1:000000000000:function:g";
const std::string fresh = "Root=1-0-0;Parent=0;Sampled=0";

TEST_CASE("a chain counts each function by itself") {
  Hop hop = next_hop("", f, fresh);
  CHECK(hop.invocations == 1);
  CHECK(hop.header.starts_with(fresh + ";Lineage="));
  for (int i = 2; i < 30; ++i) {
    Hop other = next_hop(hop.header, g, fresh);
    CHECK(other.invocations == i - 1);
    hop = next_hop(other.header, f, "never used");
    CHECK(hop.invocations == i);
  }
  CHECK(std::ranges::count(hop.header, ';') == 3);
}

TEST_CASE("what cannot be read is no lineage, and the trace stays") {
  for (const char* bad :
       {"Root=1-2-3;Lineage=zz", "Root=1-2-3;Lineage=01234567:x", "Root=1-2-3;Lineage=01234567:-1",
        "Root=1-2-3;Lineage=01234567:99999999", "Root=1-2-3;Lineage=,", "Root=1-2-3;Lineage="}) {
    CAPTURE(bad);
    Hop hop = next_hop(bad, f, fresh);
    CHECK(hop.invocations == 1);
    CHECK(hop.header.starts_with("Root=1-2-3;Lineage="));
    CHECK(hop.header.find(',') == std::string::npos);
  }
}

model::InvocationRequest to_f() {
  model::InvocationRequest in;
  in.set_function_name("f").set_payload("{}");
  return in;
}

TEST_CASE("the seventeenth invocation in a chain is refused, unless loops are allowed") {
  House house;
  house.create("f");
  model::GetFunctionRecursionConfigRequest get;
  get.set_function_name("f");
  using Shown = model::GetFunctionRecursionConfigResponse;
  CHECK(*house.ok<Shown>("GetFunctionRecursionConfig", get).recursive_loop() == "Terminate");
  for (int i = 0; i < 16; ++i) {
    house.done("Invoke", to_f());
    house.trace_header = house.invoker.requests.back().event.trace_header;
  }
  const std::string refusal =
      "RecursiveInvocationException 400: f was invoked 16 times in this chain of requests, which "
      "looks like a loop and is ended; PutFunctionRecursionConfig can allow it.";
  CHECK(house.refused("Invoke", to_f()) == refusal);
  auto event = to_f();
  event.set_invocation_type("Event");
  CHECK(house.refused("Invoke", event) == refusal);
  CHECK(house.invoker.requests.size() == 16);
  model::PutFunctionRecursionConfigRequest put;
  put.set_function_name("f").set_recursive_loop("Allow");
  house.done("PutFunctionRecursionConfig", put);
  house.stop();
  house.start();
  CHECK(*house.ok<Shown>("GetFunctionRecursionConfig", get).recursive_loop() == "Allow");
  house.done("Invoke", to_f());
  house.trace_header.clear();
  house.done("Invoke", to_f());
  CHECK(house.invoker.requests.size() == 18);
}

}  // namespace
}  // namespace mayfly::lambda::test
