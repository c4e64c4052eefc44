#include "invoke/templates.h"

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

struct ForkingHouse : House {
  ForkingHouse() { pack.forks = true; }
  std::size_t templates() const {
    return static_cast<std::size_t>(std::ranges::count_if(launcher.jails, [](const auto& jail) {
      return jail->spec.parking == sandbox::Parking::forkable && !jail->exit;
    }));
  }
  std::shared_ptr<sim::FakeJail> template_of(const std::string& function) const {
    for (const auto& jail : launcher.jails) {
      auto name = "AWS_LAMBDA_FUNCTION_NAME=" + function;
      if (jail->spec.parking == sandbox::Parking::forkable &&
          std::ranges::count(jail->spec.env, name) > 0)
        return jail;
    }
    return nullptr;
  }
  bool logged(const std::string& part) const {
    return std::ranges::any_of(observer.lines, [&](const auto& line) {
      return line.text.find(part) != std::string::npos;
    });
  }
};

bool is_generic(const sim::FakeJail& jail) {
  return std::ranges::count(jail.spec.env, "MAYFLY_TEMPLATE=generic") > 0;
}

}  // namespace

TEST_CASE("after its first environment a function has a template, proved by a fork") {
  ForkingHouse house;
  house.start();
  house.call(House::function());
  CHECK(house.templates() == 2);  // its own, and the runtime's generic one
  CHECK(house.launcher.forks == 1);
  auto jail = house.template_of("hello");
  REQUIRE(jail);
  CHECK(std::ranges::count(jail->spec.env, "MAYFLY_TEMPLATE=function") == 1);
  CHECK(house.invoker->totals().environments == 2);  // the first, and the one that proved it
}

TEST_CASE("a fork is told what is its own, and nothing that is its template's") {
  ForkingHouse house;
  house.start();
  house.call(House::function());
  const auto& fork = house.launcher.jails.back()->spec;
  CHECK(fork.parking == sandbox::Parking::none);
  CHECK(fork.binds.empty());
  CHECK(std::ranges::count(fork.env, "AWS_ACCESS_KEY_ID=AKID") == 1);
  CHECK(std::ranges::count_if(fork.env, [](const auto& variable) {
          return variable.starts_with("AWS_LAMBDA_LOG_STREAM_NAME=");
        }) == 1);
  CHECK(fork.limits.memory_bytes == 128ull << 20);
}

TEST_CASE("the first environment of a function is a fork of its runtime's generic template") {
  ForkingHouse house;
  house.start();
  house.call(House::function("one"));
  int before = house.launcher.forks;
  auto launched = house.launcher.jails.size();
  house.call(House::function("two"));
  CHECK(house.launcher.forks == before + 2);  // the environment, and the proof of its template
  const auto& first = house.launcher.jails[launched]->spec;
  CHECK(first.binds.size() == 1);
  CHECK(first.binds[0].target == "/var/task");
  CHECK(std::ranges::count(first.env, "_HANDLER=index.handler") == 1);
}

TEST_CASE("a spare counts as a new environment when a caller gets it") {
  ForkingHouse house;
  house.settings.scaling_environments = 1;
  house.start();
  auto function = House::function();
  function.timeout_seconds = 60;
  house.call(function);
  REQUIRE(house.invoker->totals().environments == 2);  // the other one proved the template
  house.launcher.script.invoke = hang;
  auto used = house.begin(function, House::request("r2"));
  CHECK_FALSE(*used);  // the environment that has been used
  int before = house.invoker->totals().environments;
  for (int i = 0; i < 2; ++i) {
    auto refused = house.begin(function, House::request("r3"));
    REQUIRE(*refused);
    CHECK((*refused)->error().reason == "ConcurrentInvocationLimitExceeded");
    CHECK(house.invoker->totals().busy == 1);
    CHECK(house.invoker->totals().environments <= before + 1);
  }
  house.pass(10s);
  auto grown = house.begin(function, House::request("r4"));
  CHECK_FALSE(*grown);
  CHECK(house.invoker->totals().busy == 2);
}

TEST_CASE("a guest that must not be forked says why, in the function's log") {
  ForkingHouse house;
  house.launcher.script.park_refusal = "2 threads run: worker-1";
  house.start();
  house.call(House::function());
  house.call(House::function(), "r2");
  CHECK(house.launcher.forks == 0);
  CHECK(house.templates() == 0);
  CHECK(house.logged("start one by one: 2 threads run: worker-1"));
}

TEST_CASE("a function may opt out, and a wrapper script does") {
  ForkingHouse house;
  house.start();
  auto opted_out = House::function();
  opted_out.environment["MAYFLY_FORK"] = "off";
  house.call(opted_out);
  auto wrapped = House::function("wrapped");
  wrapped.environment["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/wrapper";
  house.call(wrapped, "r2");
  CHECK(house.templates() == 0);
  CHECK(house.launcher.forks == 0);
}

TEST_CASE("an update ends the template of the old version") {
  ForkingHouse house;
  house.start();
  auto function = House::function();
  house.call(function);
  auto jail = house.template_of("hello");
  house.invoker->retire(function.concurrency_key, "another key");
  house.loop.run_ready();
  CHECK(jail->exit.has_value());
}

TEST_CASE("a call of a changed configuration ends what is left of the old one") {
  ForkingHouse house;
  house.start();
  house.call(House::function());
  auto old_template = house.template_of("hello");
  auto old_environment = house.launcher.jails.front();
  auto changed = House::function();
  changed.pool_key += "/changed";
  house.call(changed, "r2");
  CHECK(old_template->exit.has_value());
  CHECK(old_environment->exit.has_value());
  auto published = House::function();
  published.version = "1";
  published.pool_key += "/published";
  house.call(published, "r3");
  CHECK(house.invoker->totals().templates == 2);  // $LATEST and version 1 stay side by side
}

TEST_CASE("a template whose guest ended is made anew, but not for ever") {
  ForkingHouse house;
  house.start();
  auto function = House::function();
  function.pool_key += "/x";
  for (int i = 0; i < 5; ++i) {
    house.call(function, "r" + std::to_string(i));
    for (const auto& jail : house.launcher.jails) {
      if (!is_generic(*jail)) jail->end({.code = 1});
    }
    house.loop.run_ready();
  }
  auto made = std::ranges::count_if(house.launcher.jails, [](const auto& jail) {
    return jail->spec.parking == sandbox::Parking::forkable && !is_generic(*jail);
  });
  CHECK(made == 3);
}

TEST_CASE("a template lasts half as long as an environment, and is made anew by use") {
  ForkingHouse house;
  house.settings.environment_life = 4h;
  house.start();
  house.call(House::function());
  auto first = house.template_of("hello");
  REQUIRE(first);
  house.move(119min);
  house.call(House::function());
  CHECK(house.template_of("hello") == first);
  for (auto move : {1min, 120min}) {
    house.move(move);
    house.call(House::function());
    house.loop.run_ready();
  }
  CHECK(first->exit.has_value());
  CHECK(house.templates() == 2);  // again its own, and the generic one
}

TEST_CASE("templates keep within their memory, the least used one goes") {
  ForkingHouse house;
  house.launcher.memory_bytes = 40ull << 20;
  house.settings.template_memory_bytes = 130ull << 20;  // the generic one and two more
  house.start();
  house.call(House::function("one"));
  house.pass(1s);
  house.call(House::function("two"));
  house.pass(1s);
  house.call(House::function("three"));
  CHECK(house.template_of("one")->exit.has_value());
  CHECK_FALSE(house.template_of("two")->exit.has_value());
  CHECK_FALSE(house.template_of("three")->exit.has_value());
}

TEST_CASE("a busy function keeps a spare environment ahead of its callers") {
  ForkingHouse house;
  house.launcher.script.invoke = hang;
  house.start();
  auto function = House::function();
  auto first = house.begin(function, House::request("r1"));
  int before = house.invoker->totals().environments;
  auto second = house.begin(function, House::request("r2"));  // takes the one that proved it
  CHECK(house.invoker->totals().environments == before);
  house.pass(2ms);  // not in the way of the call
  CHECK(house.invoker->totals().environments == before + 1);
  auto third = house.begin(function, House::request("r3"));
  house.pass(2ms);
  CHECK(house.invoker->totals().environments == before + 2);
  CHECK(house.invoker->totals().busy == 3);
}
