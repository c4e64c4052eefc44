#include "gate/breaker.h"

#include <doctest/doctest.h>

#include "gate/parked.h"
#include "sim/manual_clock.h"

using namespace mayfly;
using namespace std::chrono_literals;
using gate::Breakers;
using Strings = std::vector<std::string>;

namespace {

struct Bench {
  Bench() {
    breakers.on_change([this](const std::string& key) { told.push_back(key); });
  }
  // Whether it may; with `how` it ends at once.
  bool attempt(Breakers::End how, const std::string& key = "a") {
    if (!breakers.begin(key, settings)) return false;
    breakers.end(key, settings, how);
    return true;
  }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
  }
  sim::ManualClock clock;
  io::Loop loop{clock};
  gate::BreakerSettings settings{.failures = 2, .window_ms = 60'000, .open_ms = 30'000};
  Breakers breakers{loop};
  Strings told;
};

constexpr auto success = Breakers::End::success;
constexpr auto failure = Breakers::End::failure;
constexpr auto neither = Breakers::End::neither;

}  // namespace

TEST_CASE("breakers: each counts for itself, and says how many it lets through") {
  Bench b;
  b.settings.probes = 2;
  CHECK(b.attempt(failure));
  CHECK(b.attempt(neither));
  CHECK(b.breakers.room("a") == SIZE_MAX);
  CHECK(b.attempt(failure));
  CHECK(b.breakers.room("a") == 0);
  CHECK(b.breakers.opens_ms("a") == epoch_millis(b.clock.platform()) + 30'000);
  CHECK(b.attempt(success, "b"));
  auto refused = b.breakers.begin("a", b.settings);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == gate::circuit_open);
  CHECK(b.breakers.open() == 1);
  b.pass(30s);
  CHECK(b.told == Strings{"a"});
  CHECK(b.breakers.room("a") == 2);
  CHECK(b.breakers.opens_ms("a") == 0);
  REQUIRE(b.breakers.begin("a", b.settings));
  CHECK(b.breakers.room("a") == 1);
  // It came to nothing: another may try.
  b.breakers.end("a", b.settings, neither);
  CHECK(b.breakers.room("a") == 2);
  CHECK(b.attempt(success));
  CHECK(b.attempt(success));
  CHECK(b.breakers.room("a") == SIZE_MAX);
  CHECK(b.breakers.open() == 0);
  CHECK(b.told.size() == 4);
}

TEST_CASE("breakers: one whose settings change is as at first") {
  Bench b;
  for (const char* key : {"rule/1", "rule/1", "rule/2", "rule/2", "other", "other"}) {
    CHECK(b.attempt(failure, key));
  }
  CHECK(b.breakers.open() == 3);
  b.breakers.forget("rule/");
  CHECK(b.breakers.open() == 1);
  CHECK(b.breakers.lets("rule/2"));
  CHECK(b.told == Strings{"rule/1", "rule/2"});
  b.pass(30s);
  CHECK(b.told.size() == 3);
}

TEST_CASE("breakers: what a target will never take says nothing of its health") {
  using enum ErrorKind;
  CHECK(Breakers::judge({}) == success);
  for (auto kind : {throttled, unavailable, timeout, internal}) {
    CHECK(Breakers::judge(fail(kind, "")) == failure);
  }
  for (auto kind : {not_found, denied, invalid, too_large, unimplemented, cancelled}) {
    CHECK(Breakers::judge(fail(kind, "")) == neither);
  }
}

TEST_CASE("breakers: settings are read whole, or refused") {
  auto all = gate::read_breaker("7/2m,open=1h,probes=3,fallback=other");
  REQUIRE(all);
  CHECK(*all == gate::BreakerSettings{7, 120'000, 3'600'000, 3, "other"});
  CHECK(*gate::read_breaker("7/2m open=1h probes=3 fallback=other") == *all);
  CHECK(gate::read_breaker("1/1s")->open_ms == 30'000);
  for (const char* bad :
       {"", "on", "5", "0/1s", "10001/1s", "5/0s", "5/25h", "5/60s,open", "5/1s,open=x",
        "5/1s,probes=0", "5/1s,probes=101", "5/1s,fallback=", "5/1s,shut=1s"}) {
    INFO(bad);
    auto read = gate::read_breaker(bad);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("breakers: as a tag, with the ARN of another target as its fallback") {
  CHECK(*gate::breaker_of({{"team", "a"}}) == nullptr);
  auto read = gate::breaker_of({{"mayfly:breaker", "1/1s fallback=arn:aws:sqs:r:1:q"}});
  REQUIRE(read);
  CHECK((*read)->fallback == "arn:aws:sqs:r:1:q");
  CHECK(gate::breaker_of({{"mayfly:breaker", "1/1s fallback=q"}}).error().message ==
        "the fallback of the tag mayfly:breaker is 'q' and must be the ARN of a queue, function, "
        "topic or bus");
  CHECK(gate::breaker_of({{"mayfly:breaker", "often"}}).error().message ==
        "the tag mayfly:breaker is 'often', of which 'often' is not understood: it must be like "
        "'5/60s' or '5/60s,open=30s,probes=1,fallback=ARN'");
}

TEST_CASE("parked: by breaker, in the order they came, until they are too old") {
  gate::Parked<int> parked;
  CHECK(parked.expires_ms() == INT64_MAX);
  for (int i = 0; i < 4; ++i) parked.put("a", i, 100 + i);
  parked.put("b", 9, 50);
  CHECK(parked.size() == 5);
  CHECK(parked.expires_ms() == 50);
  CHECK(parked.take("c", 1).empty());
  CHECK(parked.take("a", 2) == std::vector{0, 1});
  CHECK(parked.take_expired(102) == std::vector{2, 9});
  CHECK(parked.take("a", SIZE_MAX) == std::vector{3});
  CHECK(parked.size() == 0);
}
