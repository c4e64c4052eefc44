#include "invoke/booted_guests.h"

#include "invoke/environment_spec.h"
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

struct BootingHouse : House {
  BootingHouse() {
    pack.name = "java17";
    pack.language = "java";
    pack.specialises = true;
    pack.argv = {"/opt/jdk/bin/java", "mayfly.runtime.Main"};
    pack.env = {"LANG=en_US.UTF-8", "LD_LIBRARY_PATH=/lib64"};
    pack.binds = {{"/jdk", "/opt/jdk"}};
    launcher.script.invoke = hang;  // an environment that has answered would be taken again
  }
  // Calls that stay in their environments.
  void begin_calls(const Runnable& runnable, int count) {
    for (int i = 0; i < count; ++i) {
      begin(runnable, request("r" + std::to_string(launcher.jails.size())));
    }
  }
  std::vector<std::shared_ptr<sim::FakeJail>> booted() const {
    std::vector<std::shared_ptr<sim::FakeJail>> out;
    std::ranges::copy_if(launcher.jails, std::back_inserter(out), [](const auto& jail) {
      return jail->spec.parking == sandbox::Parking::specialisable && !jail->specialised &&
             !jail->exit;
    });
    return out;
  }
};

Runnable java(const std::string& name = "hello", int memory_mb = 128) {
  auto out = House::function(name);
  out.runtime = "java17";
  out.memory_mb = memory_mb;
  return out;
}

bool has(const std::vector<std::string>& env, const std::string& variable) {
  return std::ranges::count(env, variable) == 1;
}

}  // namespace

TEST_CASE("once a function has started, a guest is booted for the next start") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 1);
  CHECK(house.launcher.specialised == 0);
  auto booted = house.booted();
  REQUIRE(booted.size() == 1);
  CHECK(house.invoker->totals().booted_guests == 1);
  CHECK(house.invoker->totals().environments == 1);
  const auto& spec = booted[0]->spec;
  CHECK(has(spec.env, "MAYFLY_TEMPLATE=generic"));
  CHECK(std::ranges::count(spec.argv, "-Xmx108m") == 1);
  CHECK(spec.limits.memory_bytes == 128ull << 20);
  CHECK(spec.binds.size() == 1);
}

TEST_CASE("an environment of any function of the size is made of the booted guest") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 1);
  auto jail = house.booted().at(0);
  auto other = java("other");
  other.environment["KEY"] = "value";
  other.tmp_mb = 700;
  house.begin_calls(other, 1);
  CHECK(house.launcher.specialised == 1);
  CHECK(jail->specialised);
  CHECK(has(jail->spec.env, "AWS_LAMBDA_FUNCTION_NAME=other"));
  CHECK(has(jail->spec.env, "KEY=value"));
  CHECK(has(jail->spec.env, "_HANDLER=index.handler"));
  CHECK_FALSE(has(jail->spec.env, "MAYFLY_TEMPLATE=generic"));
  CHECK(jail->spec.binds.size() == 2);
  CHECK(jail->spec.binds[1].target == "/var/task");
  CHECK(jail->spec.limits.tmp_bytes == 700ull << 20);
  CHECK(house.endpoints_open == 2);
  CHECK(house.booted().size() == 1);  // the next one
}

TEST_CASE("a booted guest is for one memory size") {
  BootingHouse house;
  house.start();
  house.begin_calls(java("small", 128), 1);
  house.begin_calls(java("large", 1024), 1);
  CHECK(house.launcher.specialised == 0);
  CHECK(house.booted().size() == 2);
}

TEST_CASE("two are kept where two were taken in quick succession, until nobody comes") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 2);
  house.pass(60s);
  CHECK(house.booted().size() == 1);
  house.begin_calls(java(), 2);
  CHECK(house.booted().size() == 2);
}

TEST_CASE("what the guest reads at its start only, starts it from nothing") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 1);
  for (const char* name : {"JAVA_TOOL_OPTIONS", "LC_ALL", "LD_PRELOAD", "TZ", "MALLOC_ARENA_MAX"}) {
    auto function = java(name);
    function.environment[name] = "x";
    house.begin_calls(function, 1);
  }
  auto wrapped = java("wrapped");
  wrapped.environment["AWS_LAMBDA_EXEC_WRAPPER"] = "/opt/wrapper";
  house.begin_calls(wrapped, 1);
  auto opted_out = java("opted-out");
  opted_out.environment["MAYFLY_FORK"] = "off";
  house.begin_calls(opted_out, 1);
  CHECK(house.launcher.specialised == 0);
  auto same = java("same");
  same.environment = {{"LANG", "en_US.UTF-8"}, {"LD_LIBRARY_PATH", "/lib64"}, {"TZ", ":UTC"}};
  house.begin_calls(same, 1);
  CHECK(house.launcher.specialised == 1);
}

TEST_CASE("a guest that cannot take its order is replaced by a start, thrice at the most") {
  BootingHouse house;
  house.launcher.refuse_order = Error{ErrorKind::unavailable, "no", {}};
  house.launcher.script.invoke = {};
  house.start();
  for (int i = 0; i < 6; ++i) {
    auto outcome = house.call(java("f" + std::to_string(i)), "r" + std::to_string(i), "\"x\"");
    CHECK(outcome.payload == "\"x\"");
  }
  CHECK(house.launcher.specialised == 3);
  CHECK(house.booted().empty());
}

TEST_CASE("a guest that says it cannot be specialised is not booted again") {
  BootingHouse house;
  house.launcher.script.park_refusal = "the C library's environment was not found";
  house.start();
  house.begin_calls(java(), 3);
  CHECK(house.launcher.specialised == 0);
  CHECK(house.booted().empty());
  CHECK(house.launcher.jails.size() == 4);
}

TEST_CASE("a booted guest that ended by itself is not used") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 1);
  house.booted().at(0)->end({.code = -1, .signal = 9});
  house.begin_calls(java(), 1);
  CHECK(house.launcher.specialised == 0);
  CHECK(house.booted().size() == 1);
}

TEST_CASE("an environment made of a booted guest fails and ends as any other") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 1);
  house.launcher.script.invoke = exit_with_3;
  auto jail = house.booted().at(0);
  auto outcome = house.call(java("other"), "failing");
  CHECK(jail->exit->code == 3);
  CHECK(outcome.payload.find("Runtime.ExitError") != std::string::npos);
  CHECK(house.endpoints_open == 1);
}

TEST_CASE("a booted guest whose function fails to initialise says so") {
  BootingHouse house;
  house.start();
  house.begin_calls(java(), 1);
  house.launcher.script.init = [](sim::FakeInstance&,
                                  Deadline) -> io::Task<Result<guest::InitReply>> {
    guest::InitReply reply;
    reply.error_type = "Runtime.HandlerNotFound";
    reply.error_payload = R"({"errorMessage":"no such class"})";
    co_return reply;
  };
  auto outcome = house.call(java("other"), "failing");
  CHECK(house.launcher.specialised == 1);
  CHECK(outcome.payload.find("no such class") != std::string::npos);
}

TEST_CASE("booted guests that nobody takes end with the idle environments") {
  BootingHouse house;
  house.settings.idle_lifetime = 60s;
  house.start();
  house.begin_calls(java(), 1);
  auto jail = house.booted().at(0);
  house.pass(59s);
  CHECK_FALSE(jail->exit.has_value());
  house.pass(2s);
  CHECK(jail->exit.has_value());
  CHECK(house.invoker->totals().booted_guests == 0);
}

TEST_CASE("booted guests keep within their memory, the least used size goes") {
  BootingHouse house;
  house.launcher.memory_bytes = 40ull << 20;
  house.settings.template_memory_bytes = 4 * (90ull << 20);  // a quarter: two guests
  house.start();
  for (int memory_mb : {128, 256, 512}) {
    house.begin_calls(java("f" + std::to_string(memory_mb), memory_mb), 1);
    house.pass(1s);
  }
  auto booted = house.booted();
  REQUIRE(booted.size() == 2);
  CHECK(booted[0]->spec.limits.memory_bytes == 256ull << 20);
  CHECK(booted[1]->spec.limits.memory_bytes == 512ull << 20);
}

TEST_CASE("nothing is booted where environments are not to be forked") {
  BootingHouse house;
  house.settings.fork_environments = false;
  house.start();
  house.begin_calls(java(), 1);
  CHECK(house.booted().empty());
}
