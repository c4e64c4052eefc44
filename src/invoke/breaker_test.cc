#include "gate/breaker.h"

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

struct BreakerHouse : House {
  explicit BreakerHouse(std::string_view settings) {
    guarded.breaker = std::make_shared<const gate::BreakerSettings>(*gate::read_breaker(settings));
    start();
    invoker->on_breaker([this](const std::string& key) { changed.push_back(key); });
  }
  // "ok", "failed", or the reason of a refusal.
  std::string call() {
    auto answer = begin(guarded, request(fmt::format("r{}", ++calls)));
    loop.run_ready();
    REQUIRE(*answer);
    if (!**answer) return (**answer).error().reason;
    return (**answer)->kind == events::Outcome::Kind::ok ? "ok" : "failed";
  }
  void fail_calls(bool fails) {
    launcher.script.invoke = fails ? fail_handled : decltype(launcher.script.invoke){};
  }
  bool lets() const { return invoker->breaker_lets(guarded.concurrency_key); }
  int calls = 0;
  Runnable guarded = function();
  std::vector<std::string> changed;
};

}  // namespace

TEST_CASE("breaker: failures within the window open it, and calls are refused without a try") {
  BreakerHouse house("3/60s,open=30s");
  house.fail_calls(true);
  CHECK(house.call() == "failed");
  house.pass(59s);
  CHECK(house.call() == "failed");
  house.pass(2s);  // the first one is out of the window
  CHECK(house.call() == "failed");
  CHECK(house.lets());
  CHECK(house.call() == "failed");
  CHECK_FALSE(house.lets());
  auto runs = house.observer.invocations.size();
  CHECK(house.call() == "CircuitOpen");
  CHECK(house.observer.invocations.size() == runs);
  CHECK(house.invoker->totals().open_breakers == 1);
}

TEST_CASE("breaker: after its time one call may try; its success closes, its failure opens again") {
  BreakerHouse house("1/60s,open=30s");
  house.fail_calls(true);
  CHECK(house.call() == "failed");
  house.pass(29s);
  CHECK(house.call() == "CircuitOpen");
  CHECK(house.changed.empty());
  house.pass(1s);
  CHECK(house.changed.size() == 1);
  CHECK(house.changed[0] == house.guarded.concurrency_key);
  CHECK(house.call() == "failed");
  CHECK(house.call() == "CircuitOpen");
  house.pass(30s);
  house.fail_calls(false);
  CHECK(house.call() == "ok");
  CHECK(house.call() == "ok");
  CHECK(house.invoker->totals().open_breakers == 0);
}

TEST_CASE("breaker: several probes must all succeed, and no more than these run") {
  BreakerHouse house("1/60s,open=10s,probes=2");
  house.fail_calls(true);
  CHECK(house.call() == "failed");
  house.pass(10s);
  house.fail_calls(false);
  CHECK(house.call() == "ok");
  CHECK(house.invoker->totals().open_breakers == 1);
  CHECK(house.call() == "ok");
  CHECK(house.invoker->totals().open_breakers == 0);
}

TEST_CASE("breaker: a function without one is tried always") {
  BreakerHouse house("1/60s");
  house.guarded.breaker = nullptr;
  house.fail_calls(true);
  for (int i = 0; i < 20; ++i) CHECK(house.call() == "failed");
}

TEST_CASE("breaker: an open one burns no retries of events") {
  BreakerHouse house("1/60s,open=30s");
  AsyncTarget target{.runnable = house.guarded, .invoked_arn = "arn"};
  house.invoker->set_resolver(
      [&target](Scope, FunctionName, std::string) -> io::Task<Result<AsyncTarget>> {
        co_return target;
      });
  house.invoker->start();
  house.fail_calls(true);
  CHECK(house.call() == "failed");
  house.fail_calls(false);
  AsyncEvent event{
      .scope = house.guarded.scope, .name = house.guarded.name, .qualifier = {}, .event = {}};
  event.event.payload = "{}";
  REQUIRE(house.loop.run_until(house.invoker->enqueue(std::move(event))));
  house.loop.run_ready();
  auto runs = house.observer.invocations.size();
  house.pass(29s);
  CHECK(house.observer.invocations.size() == runs);
  house.pass(1min);
  CHECK(house.observer.invocations.size() == runs + 1);
  CHECK(house.invoker->totals().queued_events == 0);
}
