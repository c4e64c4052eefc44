#include <doctest/doctest.h>

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

std::shared_ptr<const Runnable> keeping(int count) {
  Runnable out = House::function();
  out.version = "1";
  out.provisioned = count;
  out.pool_key = "hello/1/provisioned";
  return std::make_shared<const Runnable>(std::move(out));
}

io::Task<Result<guest::InitReply>> bad_init(sim::FakeInstance&, Deadline) {
  guest::InitReply reply;
  reply.error_type = "Runtime.ImportModuleError";
  reply.error_payload = R"({"errorType":"Runtime.ImportModuleError"})";
  co_return reply;
}

struct KeepingHouse : House {
  KeepingHouse() {
    settings.fork_environments = false;  // so that jails are environments, one by one
    settings.spares = 0;
  }
  Provision state() { return invoker->provision_of("hello/1/provisioned"); }
  void keep(int count) {
    invoker->provision(keeping(count));
    loop.run_ready();
  }
};

}  // namespace

TEST_CASE("provisioned environments are there before the first call, and stay") {
  KeepingHouse house;
  house.start();
  house.keep(3);
  CHECK(house.state().ready == 3);
  CHECK(house.invoker->totals().environments == 3);
  for (const auto& jail : house.launcher.jails) {
    CHECK(std::ranges::count(jail->spec.env,
                             "AWS_LAMBDA_INITIALIZATION_TYPE=provisioned-concurrency") == 1);
  }
  house.pass(house.settings.idle_lifetime * 3);
  CHECK(house.state().ready == 3);
  house.call(*keeping(3));
  CHECK(house.observer.cold == 0);
  CHECK(house.launcher.jails.size() == 3);
}

TEST_CASE("provisioned environments are replaced at the end of their life") {
  KeepingHouse house;
  house.settings.environment_life = std::chrono::hours(1);
  house.start();
  house.keep(3);
  house.pass(std::chrono::hours(1));
  CHECK(house.state().ready == 3);
  CHECK(house.launcher.jails.size() == 6);
  CHECK(house.launcher.alive() == 3);
}

TEST_CASE("one that ends is replaced, one that is used counts") {
  KeepingHouse house;
  house.start();
  house.keep(2);
  house.launcher.jails[0]->end({.code = 1});
  house.loop.run_ready();
  CHECK(house.state().ready == 2);
  CHECK(house.launcher.jails.size() == 3);
  house.launcher.script.invoke = hang;
  auto held = house.begin(*keeping(2), House::request("r1"));
  CHECK(house.state().ready == 2);
  CHECK(house.launcher.jails.size() == 3);
  house.pass(3s);  // the timeout kills it
  REQUIRE(*held);
  CHECK(house.state().ready == 2);
  CHECK(house.launcher.jails.size() == 4);
}

TEST_CASE("calls beyond them start environments that end by themselves") {
  KeepingHouse house;
  house.start();
  house.keep(1);
  house.launcher.script.invoke = hang;
  auto first = house.begin(*keeping(1), House::request("r1"));
  auto second = house.begin(*keeping(1), House::request("r2"));
  CHECK(house.invoker->totals().environments == 2);
  house.pass(3s);
  house.launcher.script.invoke = nullptr;
  house.keep(3);
  house.keep(1);
  CHECK(house.invoker->totals().environments == 3);
  house.pass(house.settings.idle_lifetime);
  CHECK(house.invoker->totals().environments == 1);
  CHECK(house.state().ready == 1);
}

TEST_CASE("a function that does not initialise fails, and is tried again after a while") {
  KeepingHouse house;
  house.launcher.script.init = bad_init;
  house.start();
  house.keep(2);
  CHECK(house.state().ready == 0);
  CHECK(house.state().failure == "FUNCTION_ERROR_INIT_FAILURE");
  auto tries = house.launcher.jails.size();
  house.pass(29s);
  CHECK(house.launcher.jails.size() == tries);
  house.launcher.script.init = nullptr;
  house.pass(1s);
  CHECK(house.state().ready == 2);
  CHECK(house.state().failure.empty());
}

TEST_CASE("they do not give way to others, and what has no room fails") {
  KeepingHouse house;
  house.settings.max_environments = 2;
  house.start();
  house.keep(3);
  CHECK(house.state().ready == 2);
  CHECK(house.state().wanted == 3);
  CHECK(house.state().failure.find("room") != std::string::npos);
  auto other = house.begin(House::function("other"), House::request("r1"));
  CHECK_FALSE(*other);
  house.pass(house.settings.start_wait);
  REQUIRE(*other);
  CHECK((*other)->error().kind == ErrorKind::throttled);
  house.keep(2);
  CHECK(house.state().failure.empty());
}

TEST_CASE("what is no longer kept ends like all others") {
  KeepingHouse house;
  house.start();
  house.keep(2);
  auto released = *keeping(0);
  house.invoker->provision(std::make_shared<const Runnable>(released));
  house.loop.run_ready();
  CHECK(house.state().wanted == 0);
  house.pass(house.settings.idle_lifetime);
  CHECK(house.invoker->totals().environments == 0);
  house.keep(2);
  house.invoker->retire(keeping(0)->concurrency_key, "");
  house.loop.run_ready();
  CHECK(house.invoker->totals().environments == 0);
}
