#include "services/clock/service.h"

#include <doctest/doctest.h>

#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "wire/json.h"

using namespace mayfly;
using services::clock::Answer;
using services::clock::parse_duration;
using services::clock::Service;
using namespace std::chrono_literals;

namespace {

struct House {
  sim::ManualClock machine;
  MovableClock clock{machine};
  io::Loop loop{clock};
  sim::MemoryStore store{loop};
  Service service{clock, store};

  Answer ask(std::string method, std::string body = {}) {
    return loop.run_until(service.answer(std::move(method), std::move(body)));
  }
  Answer post(std::string body) { return ask("POST", std::move(body)); }
  std::string message(std::string body) {
    Answer answer = post(std::move(body));
    REQUIRE(answer.status == 400);
    return std::string(wire::parse_json(answer.json)->string_or("message"));
  }
};

}  // namespace

TEST_CASE("the clock shows itself, moves and stands still") {
  House house;
  CHECK(house.ask("GET").json == R"({"now":"2026-01-01T00:00:00.000Z","offset":0,"frozen":false})");
  CHECK(house.post(R"({"advance":"90s"})").json ==
        R"({"now":"2026-01-01T00:01:30.000Z","offset":90,"frozen":false})");
  house.machine.advance(10s);
  CHECK(house.post(R"({"freeze":true})").json ==
        R"({"now":"2026-01-01T00:01:40.000Z","offset":90,"frozen":true})");
  house.machine.advance(1h);
  CHECK(house.ask("GET").json ==
        R"({"now":"2026-01-01T00:01:40.000Z","offset":-3510,"frozen":true})");
  CHECK(house.post(R"({"advance":"7d"})").json.find("2026-01-08T00:01:40") != std::string::npos);
  house.post(R"({"freeze":false})");
  house.machine.advance(5s);
  CHECK(house.ask("GET").json.find("2026-01-08T00:01:45.000Z") != std::string::npos);
  CHECK(house.clock.wall() == house.machine.wall());
}

TEST_CASE("timers of the platform fire by a move, and never while time stands still") {
  House house;
  int fired = 0;
  int protections = 0;
  house.loop.add_platform_timer(house.clock.platform() + 60s, [&] { ++fired; });
  auto cancelled = house.loop.add_platform_timer(house.clock.platform() + 60s, [&] { fired += 9; });
  house.loop.cancel_timer(cancelled);
  house.loop.add_timer(house.loop.now() + 60s, [&] { ++protections; });
  house.post(R"({"freeze":true})");
  house.machine.advance(1h);
  house.loop.run_ready();
  CHECK(fired == 0);
  CHECK(protections == 1);
  house.post(R"({"advance":"59s"})");
  house.loop.run_ready();
  CHECK(fired == 0);
  house.post(R"({"advance":"1s"})");
  house.loop.run_ready();
  CHECK(fired == 1);
}

TEST_CASE("a move survives the process") {
  House house;
  house.post(R"({"advance":"1h"})");
  house.post(R"({"freeze":true})");
  auto at = house.clock.platform();
  MovableClock next(house.machine);
  Service service(next, house.store);
  REQUIRE(service.load());
  CHECK(next.platform() == at);
  CHECK_FALSE(next.platform_runs());
  house.store.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK(house.post(R"({"advance":"1s"})").status == 500);
  house.store.fail_writes_with.reset();
}

TEST_CASE("bad input changes nothing and says what is wrong") {
  House house;
  auto before = house.clock.platform();
  CHECK(house.message("").find("JSON like") != std::string::npos);
  CHECK(house.message("{}").find("JSON like") != std::string::npos);
  CHECK(house.message("[1]").find("JSON like") != std::string::npos);
  CHECK(house.message(R"({"advance":60})") == R"("advance" must be a text like "60s")");
  CHECK(house.message(R"({"freeze":"yes"})") == R"("freeze" must be true or false)");
  CHECK(house.message(R"({"advance":"1s","back":1})").find("'back'") != std::string::npos);
  for (const char* bad : {"", "s", "60", "-5s", "0s", "1.5h", "1 m", "5w", "+5s", "1h30m"}) {
    CAPTURE(bad);
    CHECK(house.message(fmt::format(R"({{"advance":"{}"}})", bad)).find("90s, 5m, 6h, 7d") !=
          std::string::npos);
  }
  CHECK(house.message(R"({"advance":"99999999999999999999s"})").find("3650 days") !=
        std::string::npos);
  CHECK(house.message(R"({"advance":"3651d"})").find("3650 days") != std::string::npos);
  CHECK(house.ask("PUT").status == 405);
  CHECK(house.clock.platform() == before);
  CHECK(*parse_duration("3650d") == 24h * 3650);
  while (house.post(R"({"advance":"3650d"})").status == 200) {
  }
  CHECK(house.message(R"({"advance":"3650d"})").find("beyond 2200-01-01T00:00:00Z") !=
        std::string::npos);
}
