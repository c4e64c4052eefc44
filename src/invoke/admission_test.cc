#include "invoke/admission.h"

#include <doctest/doctest.h>

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

struct Gate {
  sim::ManualClock clock;
  Settings settings;
  Admission admission{clock, settings};

  // Enters and leaves at once: what is counted is the request.
  std::string call(const Runnable& runnable) {
    auto entered = admission.enter(runnable, InvocationType::request_response);
    if (!entered) return entered.error().reason;
    admission.leave(runnable, *entered);
    return "in";
  }
  int calls_until_refused(const Runnable& runnable) {
    int calls = 0;
    while (call(runnable) == "in") ++calls;
    return calls;
  }
  int environments_until_refused(const Runnable& runnable) {
    int count = 0;
    while (admission.grow(runnable)) ++count;
    return count;
  }
};

Runnable reserving(int concurrency) {
  Runnable out = House::function("reserving");
  out.reserved_concurrency = concurrency;
  return out;
}

}  // namespace

TEST_CASE("an account's requests are ten per second for each unit of concurrency") {
  Gate gate;
  auto function = House::function();
  CHECK(gate.calls_until_refused(function) == 10'000);
  CHECK(gate.call(function) == "CallerRateLimitExceeded");
  CHECK(gate.admission.request(function.scope).error().reason == "CallerRateLimitExceeded");
  gate.clock.advance(1ms);  // they come back one by one
  CHECK(gate.calls_until_refused(function) == 10);
  gate.clock.advance(1h);  // and are not saved up
  CHECK(gate.calls_until_refused(function) == 10'000);
  Runnable far = function;
  far.scope.region = Region("eu-west-1");
  CHECK(gate.call(far) == "in");
}

TEST_CASE("a reservation bounds requests per second too") {
  Gate gate;
  auto function = reserving(2);
  gate.admission.reserve(function.scope, 2);
  CHECK(gate.calls_until_refused(function) == 20);
  CHECK(gate.call(function) == "ReservedFunctionInvocationRateLimitExceeded");
  CHECK(gate.call(House::function()) == "in");
  gate.clock.advance(100ms);
  CHECK(gate.calls_until_refused(function) == 2);
}

TEST_CASE("events of the queue are no new requests") {
  Gate gate;
  auto function = House::function();
  gate.calls_until_refused(function);
  CHECK(gate.admission.enter(function, InvocationType::event));
}

TEST_CASE("a function gets 1,000 environments in ten seconds, coming back continuously") {
  Gate gate;
  auto function = House::function();
  CHECK(gate.environments_until_refused(function) == 1'000);
  CHECK(gate.admission.grow(function).error().reason == "ConcurrentInvocationLimitExceeded");
  CHECK(gate.admission.grow(House::function("other")));
  gate.clock.advance(1s);
  CHECK(gate.environments_until_refused(function) == 100);
  gate.clock.advance(1h);
  CHECK(gate.environments_until_refused(function) == 1'000);
}

TEST_CASE("zero lifts the rates") {
  Gate gate;
  gate.settings.requests_per_concurrency = 0;
  gate.settings.scaling_environments = 0;
  auto function = House::function();
  for (int i = 0; i < 20'000; ++i) {
    REQUIRE(gate.call(function) == "in");
    REQUIRE(gate.admission.grow(function));
  }
}

TEST_CASE("reserved concurrency is taken out of what the others share") {
  Gate gate;
  gate.settings.account_concurrency = 3;
  auto function = House::function();
  auto mine = reserving(2);
  gate.admission.reserve(function.scope, 2);
  auto enter = [&](const Runnable& runnable) {
    auto entered = gate.admission.enter(runnable, InvocationType::request_response);
    return entered ? std::string("in") : entered.error().reason;
  };
  CHECK(enter(function) == "in");
  CHECK(enter(function) == "ConcurrentInvocationLimitExceeded");
  CHECK(enter(mine) == "in");
  CHECK(enter(mine) == "in");
  CHECK(enter(mine) == "ReservedFunctionConcurrentInvocationLimitExceeded");
  CHECK(gate.admission.running() == 3);
  CHECK(gate.admission.running(mine.concurrency_key) == 2);
  gate.admission.leave(function, Admission::Ticket::shared);
  CHECK(enter(House::function("other")) == "in");
  CHECK(enter(reserving(0)) == "ReservedFunctionConcurrentInvocationLimitExceeded");
}

TEST_CASE("provisioned concurrency is used first, then what is shared") {
  Gate gate;
  gate.settings.account_concurrency = 3;
  auto function = House::function();
  function.provisioned = 2;
  gate.admission.reserve(function.scope, 2);
  auto enter = [&](const Runnable& runnable) {
    auto entered = gate.admission.enter(runnable, InvocationType::request_response);
    return entered ? std::string(*entered == Admission::Ticket::provisioned ? "provisioned" : "in")
                   : entered.error().reason;
  };
  CHECK(enter(function) == "provisioned");
  CHECK(enter(function) == "provisioned");
  CHECK(enter(function) == "in");
  CHECK(enter(function) == "ConcurrentInvocationLimitExceeded");
  CHECK(enter(House::function("other")) == "ConcurrentInvocationLimitExceeded");
  gate.admission.leave(function, Admission::Ticket::provisioned);
  CHECK(enter(House::function("other")) == "ConcurrentInvocationLimitExceeded");
  CHECK(enter(function) == "provisioned");
}

TEST_CASE("a call that needs an environment beyond the scaling rate is throttled") {
  House house;
  house.settings.scaling_environments = 1;
  house.launcher.script.invoke = hang;
  house.start();
  auto first = house.begin(House::function(), House::request("r1"));
  auto second = house.begin(House::function(), House::request("r2"));
  REQUIRE(*second);
  CHECK((*second)->error().reason == "ConcurrentInvocationLimitExceeded");
  CHECK(house.invoker->totals().busy == 1);
  house.pass(3s);
  CHECK(house.invoker->totals().busy == 0);
  house.pass(7s);
  auto third = house.begin(House::function(), House::request("r3"));
  CHECK_FALSE(*third);
}
