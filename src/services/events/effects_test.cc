// What functions with exactly-once effects put on buses: held back, then routed once.
#include "services/events/effects.h"

#include "services/events/fixture_test.h"
#include "sim/held_effects.h"

using namespace mayfly;
using namespace mayfly::services::bus;
using test::Bench;

TEST_CASE("events effects: an event is held back with its id, and routed once") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])");
  auto effects = std::make_shared<sim::HeldEffects>();
  bench.board.open(InstanceId("i-1"), effects);
  bench.instance = "i-1";
  auto id = bench.put(R"({"n":1})");
  CHECK(bench.queue.got.empty());
  CHECK(bench.rows("ev/") == 0);
  REQUIRE(effects->held.size() == 1);
  CHECK(effects->held[0].service == "events");
  auto perform = [&] {
    auto done = bench.loop.run_until(bench.bus->effects().perform("e1", effects->held[0].record));
    bench.loop.run_ready();
    return done;
  };
  bench.disk.fail_writes_with = Error{ErrorKind::unavailable, "the disk is full", {}};
  CHECK_FALSE(perform());
  bench.disk.fail_writes_with.reset();
  REQUIRE(perform());
  REQUIRE(perform());
  bench.restart();
  REQUIRE(perform());
  REQUIRE(bench.queue.got.size() == 1);
  auto event = Bench::json(bench.queue.got[0].payload);
  CHECK(event.string_or("id") == id);
  CHECK(*bench.bus->effects().performed() == std::vector<std::string>{"e1"});
  bench.loop.run_until(bench.bus->effects().forget({"e1"}));
  CHECK(bench.bus->effects().performed()->empty());
}

TEST_CASE("events effects: nobody's events, other environments, no more than fit") {
  Bench bench;
  bench.rule("r", R"({"source":["s"]})",
             R"([{"Id":"1","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}])");
  auto effects = std::make_shared<sim::HeldEffects>();
  bench.board.open(InstanceId("i-1"), effects);
  bench.instance = "i-2";
  bench.put(R"({"n":1})");
  CHECK(bench.queue.got.size() == 1);
  bench.instance = "i-1";
  bench.ok("CreateEventBus", Bench::json(R"({"Name":"b"})"));
  bench.put(R"({"n":2})", "b");
  bench.ok("DeleteEventBus", Bench::json(R"({"Name":"b"})"));
  CHECK(bench.loop.run_until(bench.bus->effects().perform("e1", effects->held[0].record)));
  CHECK(bench.loop.run_until(bench.bus->effects().perform("e2", "nothing that can be read")));
  CHECK(bench.bus->effects().performed()->empty());
  effects->full = true;
  CHECK(bench
            .error("PutEvents",
                   Bench::json(R"({"Entries":[{"Source":"s","DetailType":"t","Detail":"{}"}]})"))
            .starts_with("ValidationException"));
}
