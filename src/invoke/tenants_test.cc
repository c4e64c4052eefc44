// Tenant isolation in the pool: whose environments are whose.
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

Runnable isolated() {
  Runnable out = House::function();
  out.per_tenant = true;
  return out;
}

Request of(const std::string& tenant, const std::string& id = "r1") {
  Request out = House::request(id);
  out.event.tenant_id = tenant;
  return out;
}

// Notes which jail got the events of which tenant.
struct TenantHouse : House {
  std::map<std::string, std::set<std::string>> jails_of;
  io::ParkingLot gate{loop};
  bool held = false;

  TenantHouse() {
    settings.spares = 0;
    launcher.script.invoke = [this](sim::FakeInstance& instance, guest::InvokeRequest request,
                                    Deadline) {
      jails_of[request.tenant_id].insert(instance.id().str());
      return answer_at_gate(std::move(request));
    };
  }
  io::Task<Result<guest::InvokeReply>> answer_at_gate(guest::InvokeRequest request) {
    if (held) co_await gate.park();
    co_return sim::answer(request.tenant_id);
  }
  std::string ask(const std::string& tenant) {
    auto answer = begin(isolated(), of(tenant));
    REQUIRE(*answer);
    REQUIRE(**answer);
    return (**answer)->payload;
  }
};

}  // namespace

TEST_CASE("environments are kept for their tenant and shared with no other") {
  TenantHouse house;
  house.start();
  for (int round = 0; round < 3; ++round) {
    for (const char* tenant : {"blue", "green", "a/b:c=d"}) CHECK(house.ask(tenant) == tenant);
  }
  CHECK(house.invoker->totals().environments == 3);
  std::set<std::string> all;
  for (const auto& [tenant, jails] : house.jails_of) {
    CHECK(jails.size() == 1);
    all.insert(jails.begin(), jails.end());
  }
  CHECK(all.size() == 3);
}

TEST_CASE("tenants share the template of the version, which runs no event") {
  TenantHouse house;
  house.pack.forks = true;
  house.start();
  for (const char* tenant : {"blue", "green", "red"}) house.ask(tenant);
  int own = 0;
  for (const auto& jail : house.launcher.jails) {
    bool parks = jail->spec.parking == sandbox::Parking::forkable;
    if (parks) CHECK_FALSE(house.jails_of["blue"].contains(jail->spec.id.str()));
    if (parks) own += std::ranges::count(jail->spec.env, "MAYFLY_TEMPLATE=function") > 0;
  }
  CHECK(own == 1);
  CHECK(house.launcher.forks == 3);  // what proved it went to blue; green and red got one each
  for (const auto& [tenant, jails] : house.jails_of) {
    for (const auto& [other, theirs] : house.jails_of) {
      if (tenant == other) continue;
      for (const auto& jail : jails) CHECK_FALSE(theirs.contains(jail));
    }
  }
}

TEST_CASE("an event without a tenant is not run where tenants are isolated") {
  TenantHouse house;
  house.start();
  auto answer = house.begin(isolated(), House::request("r1"));
  REQUIRE(*answer);
  REQUIRE_FALSE(**answer);
  CHECK((**answer).error().kind == ErrorKind::invalid);
  CHECK(house.launcher.jails.empty());
  // Where they are not, the guest hears of none.
  auto plain = house.begin(House::function(), of("blue"));
  REQUIRE(*plain);
  CHECK((**plain)->payload.empty());
}

TEST_CASE("new code ends the environments of all tenants") {
  TenantHouse house;
  house.start();
  house.ask("blue");
  house.ask("green");
  auto next = isolated();
  next.pool_key += "-new";
  auto answer = house.begin(next, of("blue"));
  REQUIRE(*answer);
  CHECK(house.invoker->totals().environments == 1);
}

TEST_CASE("the environments of tenants are bounded; idle ones give way first") {
  TenantHouse house;
  house.start();
  auto limited = isolated();
  limited.reserved_concurrency = 4;  // ten environments
  for (int i = 0; i < 10; ++i) {
    house.begin(limited, of("idle-" + std::to_string(i)));
    house.pass(1ms);
  }
  CHECK(house.invoker->totals().environments == 10);
  house.held = true;
  auto fresh = house.begin(limited, of("fresh"));
  CHECK(house.invoker->totals().environments == 10);
  house.gate.wake_all();
  house.loop.run_ready();
  REQUIRE(*fresh);
  // The longest idle one went.
  auto gone = *house.jails_of["idle-0"].begin();
  for (const auto& jail : house.launcher.jails) {
    if (jail->spec.id.str() == gone) CHECK(jail->exit);
  }
}

TEST_CASE("records of the platform name the tenant in JSON logs") {
  TenantHouse house;
  house.start();
  auto function = isolated();
  function.json_logs = true;
  house.begin(function, of("blue"));
  auto texts = house.observer.texts();
  auto has = [&](std::string_view type) {
    return std::ranges::any_of(texts, [&](const std::string& text) {
      return text.find(type) != std::string::npos &&
             text.find(R"("tenantId":"blue")") != std::string::npos;
    });
  };
  CHECK(has("platform.start"));
  CHECK(has("platform.report"));
  CHECK_FALSE(has("platform.initStart"));
}
