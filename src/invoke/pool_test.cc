#include "invoke/pool.h"

#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

// Answers when the test says so.
struct Gate {
  explicit Gate(io::Loop& loop) : lot(loop) {}
  io::ParkingLot lot;
};
io::Task<Result<guest::InvokeReply>> at_gate(Gate& gate, guest::InvokeRequest request) {
  co_await gate.lot.park();
  co_return sim::answer(std::move(request.payload));
}

io::Task<Result<guest::InvokeReply>> quickly(guest::InvokeRequest request) {
  auto reply = sim::answer(std::move(request.payload));
  reply.busy = std::chrono::microseconds(20);
  co_return reply;
}
io::Task<Result<guest::InvokeReply>> quickly_at_gate(Gate& gate, guest::InvokeRequest request) {
  co_await gate.lot.park();
  co_return co_await quickly(std::move(request));
}

// A function with two environments whose calls have been quick so far; further ones wait at the
// gate.
struct QuickHouse : House {
  Gate gate{loop};
  explicit QuickHouse(int long_calls = 0) {
    settings.max_busy_with_quick_calls = 1;
    launcher.script.invoke = [this](sim::FakeInstance&, guest::InvokeRequest request, Deadline) {
      return at_gate(gate, std::move(request));
    };
    House::start();
    auto first = begin(function(), request("r"));
    auto second = begin(function(), request("r"));
    open();
    REQUIRE(*first);
    REQUIRE(*second);
    for (int i = 0; i < 64; ++i) {
      launcher.script.invoke = [i, long_calls](sim::FakeInstance&, guest::InvokeRequest request,
                                               Deadline) -> io::Task<Result<guest::InvokeReply>> {
        auto reply = sim::answer(std::move(request.payload));
        reply.busy = i % 32 < long_calls ? Duration(5ms) : Duration(std::chrono::microseconds(20));
        return ready_reply(std::move(reply));
      };
      call(function());
    }
    launcher.script.invoke = [this](sim::FakeInstance&, guest::InvokeRequest request, Deadline) {
      return quickly_at_gate(gate, std::move(request));
    };
    REQUIRE(launcher.jails.size() == 2);
  }
  void open() {
    gate.lot.wake_all();
    loop.run_ready();
  }
  static io::Task<Result<guest::InvokeReply>> ready_reply(guest::InvokeReply reply) {
    co_return reply;
  }
};

}  // namespace

TEST_CASE("an environment is made anew after a bounded life, however steadily it is called") {
  House house;
  house.settings.fork_environments = false;
  house.settings.environment_life = std::chrono::hours(1);
  house.start();
  for (int minute = 0; minute < 59; minute += 5) {
    house.call(House::function());
    house.pass(std::chrono::minutes(5));
  }
  CHECK(house.launcher.jails.size() == 1);
  CHECK(house.credentials_made == 1);
  house.call(House::function());
  CHECK(house.launcher.jails.size() == 2);
  CHECK(house.credentials_made == 2);
  CHECK(house.launcher.jails.front()->exit.has_value());
  CHECK(house.launcher.alive() == 1);
}

TEST_CASE("a clock that is moved ages environments, idle ones and those at work") {
  House house;
  Gate gate(house.loop);
  house.settings.fork_environments = false;
  house.settings.environment_life = std::chrono::hours(1);
  house.start();
  house.call(House::function());
  house.move(std::chrono::minutes(50));
  house.call(House::function());
  CHECK(house.credentials_made == 1);
  house.move(std::chrono::minutes(10));
  CHECK(house.launcher.alive() == 0);  // nobody had to call
  house.launcher.script.invoke = [&gate](sim::FakeInstance&, guest::InvokeRequest request,
                                         Deadline) { return at_gate(gate, std::move(request)); };
  auto at_work = house.begin(House::function(), House::request("r1"));
  CHECK(house.credentials_made == 2);
  house.move(std::chrono::hours(1));
  CHECK(house.launcher.alive() == 1);
  gate.lot.wake_all();
  house.loop.run_ready();
  REQUIRE(*at_work);
  CHECK((*at_work)->has_value());
  CHECK(house.launcher.alive() == 0);  // no other event for it
  house.platform.freeze();
  auto third = house.begin(House::function(), House::request("r2"));
  gate.lot.wake_all();
  house.loop.run_ready();
  REQUIRE(*third);
  CHECK(house.launcher.alive() == 1);
  house.pass(std::chrono::hours(1));
  CHECK(house.launcher.alive() == 0);  // by the machine's time, too
}

TEST_CASE("environments are reused, the latest first") {
  House house;
  Gate gate(house.loop);
  house.launcher.script.invoke = [&gate](sim::FakeInstance&, guest::InvokeRequest request,
                                         Deadline) { return at_gate(gate, std::move(request)); };
  house.start();
  auto first = house.begin(House::function(), House::request("r1"));
  auto second = house.begin(House::function(), House::request("r2"));
  CHECK(house.launcher.jails.size() == 2);
  CHECK(house.invoker->totals().busy == 2);
  CHECK(house.invoker->running(House::function().concurrency_key) == 2);
  gate.lot.wake_all();
  house.loop.run_ready();
  REQUIRE(*first);
  REQUIRE(*second);
  CHECK(house.invoker->totals().busy == 0);
  CHECK(house.invoker->totals().environments == 2);
  auto third = house.begin(House::function(), House::request("r3"));
  gate.lot.wake_all();
  house.loop.run_ready();
  REQUIRE(*third);
  CHECK(house.launcher.jails.size() == 2);
  CHECK(house.observer.lines.back().stream == house.observer.lines[3].stream);
}

TEST_CASE("idle environments are frozen after a moment, thawed by a call, and expire") {
  House house;
  house.start();
  house.call(House::function());
  auto jail = house.launcher.jails[0];
  house.pass(999ms);
  CHECK_FALSE(jail->frozen);
  house.pass(1ms);
  CHECK(jail->frozen);
  house.call(House::function(), "r2");
  CHECK_FALSE(jail->frozen);
  house.pass(1s);
  CHECK(jail->frozen);
  CHECK(jail->freezes == 2);
  house.pass(599s - 1ms);
  CHECK_FALSE(jail->exit);
  house.pass(1ms);
  CHECK(jail->killed);
  CHECK(house.invoker->totals().environments == 0);
}

TEST_CASE("a changed function gets new environments; busy ones end after their call") {
  House house;
  Gate gate(house.loop);
  house.start();
  auto function = House::function();
  house.call(function);
  house.launcher.script.invoke = [&gate](sim::FakeInstance&, guest::InvokeRequest request,
                                         Deadline) { return at_gate(gate, std::move(request)); };
  auto busy = house.begin(function, House::request("r2"));
  auto changed = function;
  changed.pool_key += "/2";
  house.invoker->retire(function.concurrency_key, changed.pool_key);
  CHECK_FALSE(house.launcher.jails[0]->exit);
  auto next = house.begin(changed, House::request("r3"));
  CHECK(house.launcher.jails.size() == 2);
  gate.lot.wake_all();
  house.loop.run_ready();
  REQUIRE(*busy);
  REQUIRE(*next);
  CHECK(house.launcher.jails[0]->killed);
  CHECK_FALSE(house.launcher.jails[1]->exit);
  house.invoker->retire(function.concurrency_key, "");
  house.loop.run_ready();
  CHECK(house.launcher.alive() == 0);
}

TEST_CASE("an environment that dies while idle is forgotten") {
  House house;
  house.start();
  house.call(House::function());
  house.launcher.jails[0]->end({.code = 1});
  house.loop.run_ready();
  CHECK(house.invoker->totals().environments == 0);
  CHECK(house.call(House::function(), "r2", "2").payload == "2");
}

TEST_CASE("concurrency limits refuse with the cloud's reasons") {
  House house;
  house.settings.account_concurrency = 2;
  house.launcher.script.invoke = hang;
  house.start();
  auto function = House::function();
  function.reserved_concurrency = 1;
  house.invoker->reserve(function.scope, 1);
  auto first = house.begin(function, House::request("r1"));
  auto second = house.begin(function, House::request("r2"));
  REQUIRE(*second);
  CHECK((*second)->error().kind == ErrorKind::throttled);
  CHECK((*second)->error().reason == "ReservedFunctionConcurrentInvocationLimitExceeded");
  auto other = house.begin(House::function("other"), House::request("r3"));
  auto third = house.begin(House::function("third"), House::request("r4"));
  REQUIRE(*third);
  CHECK((*third)->error().reason == "ConcurrentInvocationLimitExceeded");
  // Another region has a limit of its own.
  auto elsewhere = House::function();
  elsewhere.scope.region = Region("eu-west-1");
  elsewhere.pool_key = elsewhere.concurrency_key = "elsewhere";
  auto far = house.begin(elsewhere, House::request("r5"));
  CHECK_FALSE(*far);
  CHECK(house.observer.invocations.size() == 2);
  CHECK(house.observer.invocations[0].outcome == InvocationOutcome::throttled);
  CHECK(house.observer.started == 3);
  function.reserved_concurrency = 0;
  function.concurrency_key += "x";
  auto none = house.begin(function, House::request("r6"));
  REQUIRE(*none);
  CHECK((*none)->error().reason == "ReservedFunctionConcurrentInvocationLimitExceeded");
  house.pass(3s);
}

TEST_CASE("a full machine ends the longest idle environment, and lets wait when all are busy") {
  House house;
  house.settings.max_environments = 2;
  house.start();
  house.call(House::function("a"));
  house.pass(10ms);
  house.call(House::function("b"));
  house.pass(10ms);
  house.launcher.script.invoke = hang;
  auto c = house.begin(House::function("c"), House::request("r3"));
  CHECK(house.launcher.jails[0]->killed);
  CHECK_FALSE(house.launcher.jails[1]->exit);
  auto b = house.begin(House::function("b"), House::request("r4"));
  CHECK(house.launcher.jails.size() == 3);
  auto d = house.begin(House::function("d"), House::request("r5"));
  CHECK_FALSE(*d);  // waits for one of them
  house.pass(3s);
  CHECK(*c);
  CHECK(*b);
  house.pass(3s);
  CHECK(*d);
}

TEST_CASE("starts are bounded; who waits takes the first environment that is free") {
  House house;
  house.settings.max_concurrent_starts = 1;
  io::ParkingLot init(house.loop);
  static io::ParkingLot* init_lot;
  init_lot = &init;
  house.launcher.script.init = [](sim::FakeInstance&,
                                  Deadline) -> io::Task<Result<guest::InitReply>> {
    co_await init_lot->park();
    co_return sim::ready();
  };
  house.start();
  std::vector<std::shared_ptr<House::Answer>> answers;
  for (int i = 0; i < 5; ++i) {
    answers.push_back(house.begin(House::function(), House::request(std::to_string(i), "1")));
  }
  CHECK(house.launcher.jails.size() == 1);
  init.wake_all();
  house.loop.run_ready();
  // The second start was under way already when the first environment had served everyone.
  for (auto& answer : answers) REQUIRE(*answer);
  CHECK(house.launcher.jails.size() <= 2);
  init.wake_all();
  house.loop.run_ready();
  CHECK(house.invoker->totals().environments == static_cast<int>(house.launcher.jails.size()));
}

TEST_CASE("quick calls wait for the environment at work, in order, and start none") {
  QuickHouse house;
  auto cold = house.observer.cold;
  std::vector<std::shared_ptr<House::Answer>> answers;
  for (int i = 0; i < 6; ++i) {
    answers.push_back(house.begin(House::function(), House::request(std::to_string(i), "1")));
  }
  CHECK(house.gate.lot.size() == 1);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    CHECK_FALSE(*answers[i]);
    house.open();
    CHECK(*answers[i]);
  }
  CHECK(house.launcher.jails.size() == 2);
  CHECK(house.observer.cold == cold);
}

TEST_CASE("a call that is long after all holds the others up for a moment only") {
  QuickHouse house;
  std::vector<std::shared_ptr<House::Answer>> answers;
  for (int i = 0; i < 5; ++i) {
    answers.push_back(house.begin(House::function(), House::request(std::to_string(i), "1")));
  }
  house.pass(4ms);
  CHECK(house.gate.lot.size() == 1);
  house.pass(1ms);
  CHECK(house.gate.lot.size() == 2);  // the idle environment
  CHECK(house.launcher.jails.size() == 2);
  house.pass(5ms);  // no call has ended: twice as many, from now on by starts
  CHECK(house.gate.lot.size() == 4);
  CHECK(house.launcher.jails.size() == 4);
  // The call that came at last may wait for the quick ones now.
  house.open();
  house.open();
  for (auto& answer : answers) CHECK(*answer);
  CHECK(house.launcher.jails.size() == 4);
  // Those that were long are back: one at a time again.
  auto next = house.begin(House::function(), House::request("a", "1"));
  auto last = house.begin(House::function(), House::request("b", "1"));
  CHECK(house.gate.lot.size() == 1);
  house.open();
  house.open();
  CHECK(*next);
  CHECK(*last);
}

TEST_CASE("calls of which some are long get an environment each") {
  for (int long_calls : {2, 3}) {
    QuickHouse house(long_calls);
    auto one = house.begin(House::function(), House::request("a", "1"));
    auto two = house.begin(House::function(), House::request("b", "1"));
    CHECK(house.gate.lot.size() == (long_calls == 2 ? 1 : 2));
    house.open();
    house.open();
    CHECK(*one);
    CHECK(*two);
  }
}

TEST_CASE("a held request ends at its deadline, with the server, and with its environment") {
  QuickHouse house;
  auto one = house.begin(House::function(), House::request("a", "1"));
  auto request = House::request("b", "1");
  request.event.deadline = house.clock.mono() + 1ms;
  auto two = house.begin(House::function(), std::move(request));
  CHECK(house.gate.lot.size() == 1);
  house.pass(1ms);
  REQUIRE(*two);
  CHECK((*two)->error().kind == ErrorKind::timeout);
  house.launcher.script.invoke = exit_with_3;
  house.open();
  CHECK(*one);
  house.open();
  auto three = house.begin(House::function(), House::request("c", "1"));
  auto four = house.begin(House::function(), House::request("d", "1"));
  house.pass(20ms);
  CHECK(*three);
  CHECK(*four);
}
