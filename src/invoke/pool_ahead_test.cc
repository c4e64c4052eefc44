// Events ahead: whose event is sent behind whose call, and what becomes of it.
#include "invoke/house_for_tests.h"
#include "invoke/pool.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

// A function with one environment at work at a time, whose calls have been quick and silent; from
// now on they wait at a gate, by payload.
struct AheadHouse : House {
  io::ParkingLot gate{loop};
  std::vector<std::string> ran;  // in the order of beginning
  bool loud = false;

  AheadHouse() {
    settings.max_busy_with_quick_calls = 1;
    launcher.script.takes_ahead = true;
    launcher.script.invoke = [](sim::FakeInstance&, guest::InvokeRequest request, Deadline) {
      return quick(std::move(request));
    };
    House::start();
    for (int i = 0; i < 65; ++i) call(function());
    launcher.script.invoke = [this](sim::FakeInstance& instance, guest::InvokeRequest request,
                                    Deadline deadline) {
      ran.push_back(request.payload);
      if (loud) instance.jail().write("a line\n");
      return at_gate(this, &instance, std::move(request), deadline);
    };
  }
  static io::Task<Result<guest::InvokeReply>> quick(guest::InvokeRequest request) {
    auto reply = sim::answer(std::move(request.payload));
    reply.busy = std::chrono::microseconds(20);
    co_return reply;
  }
  static io::Task<Result<guest::InvokeReply>> at_gate(AheadHouse* house,
                                                      sim::FakeInstance* instance,
                                                      guest::InvokeRequest request,
                                                      Deadline deadline) {
    if (request.payload == "\"exit\"") co_return co_await exit_with_3(*instance, request, deadline);
    if (request.payload == "\"hang\"") co_return co_await hang(*instance, request, deadline);
    if (co_await house->gate.park(deadline) == io::Wake::timeout) {
      co_return fail(ErrorKind::timeout, "no answer");
    }
    if (instance->has_exited()) co_return fail(ErrorKind::unavailable, "the guest went away");
    co_return co_await quick(std::move(request));
  }
  std::shared_ptr<Answer> begin_one(const std::string& payload) {
    return begin(function(), request("id-" + payload, payload));
  }
  std::vector<std::shared_ptr<Answer>> begin_many(int count) {
    std::vector<std::shared_ptr<Answer>> out;
    for (int i = 0; i < count; ++i) out.push_back(begin_one(std::to_string(i)));
    return out;
  }
  void open() {
    gate.wake_all();
    loop.run_ready();
  }
  int sent_ahead() const {
    int sum = 0;
    for (const auto& jail : launcher.jails) sum += jail->sent_ahead;
    return sum;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const auto& line : observer.lines) out.push_back(line.text);
    return out;
  }
};

}  // namespace

TEST_CASE("events of who waits are sent ahead, run in order, and count as started in their turn") {
  AheadHouse house;
  house.observer.lines.clear();
  auto answers = house.begin_many(4);
  CHECK(house.sent_ahead() == 3);
  CHECK(house.ran == std::vector<std::string>{"0"});
  CHECK(house.texts().size() == 1);  // one START
  for (std::size_t i = 0; i < answers.size(); ++i) {
    CHECK_FALSE(*answers[i]);
    house.open();
    REQUIRE(*answers[i]);
    CHECK((**answers[i])->payload == std::to_string(i));
  }
  CHECK(house.ran == std::vector<std::string>{"0", "1", "2", "3"});
  CHECK(house.launcher.jails.size() == 1);
  std::vector<std::string> starts;
  for (const auto& line : house.observer.lines) starts.push_back(line.text.substr(0, 5));
  CHECK(starts == std::vector<std::string>{"START", "END R", "REPOR", "START", "END R", "REPOR",
                                           "START", "END R", "REPOR", "START", "END R", "REPOR"});
}

TEST_CASE("what waits behind a call that turns out long is called back and runs elsewhere, once") {
  for (bool takes_next : {false, true}) {
    CAPTURE(takes_next);
    AheadHouse house;
    house.launcher.script.takes_next = takes_next;
    auto answers = house.begin_many(3);
    CHECK(house.sent_ahead() == 2);
    house.pass(5ms);
    // One that the guest has taken stays; the next has an environment of its own.
    CHECK(house.launcher.jails.size() == 2);
    house.open();
    house.open();
    for (auto& answer : answers) {
      REQUIRE(*answer);
      CHECK((*answer)->has_value());
    }
    auto ran = house.ran;
    std::ranges::sort(ran);
    CHECK(ran == std::vector<std::string>{"0", "1", "2"});
  }
}

TEST_CASE("a guest that ends fails the call that runs; those behind it run elsewhere") {
  AheadHouse house;
  auto first = house.begin_one("0");
  auto second = house.begin_one("\"exit\"");
  auto third = house.begin_one("2");
  CHECK(house.sent_ahead() == 2);
  house.open();
  REQUIRE(*first);
  REQUIRE(*second);
  CHECK((**second)->payload.find("Runtime.ExitError") != std::string::npos);
  CHECK_FALSE(*third);
  CHECK(house.launcher.jails.size() == 2);
  house.open();
  REQUIRE(*third);
  CHECK((**third)->payload == "2");
  CHECK(house.ran == std::vector<std::string>{"0", "\"exit\"", "2"});
}

TEST_CASE("a call that is too long ends its environment; those behind it do not wait for that") {
  AheadHouse house;
  auto first = house.begin_one("\"hang\"");
  auto second = house.begin_one("1");
  house.pass(5ms);
  house.open();
  REQUIRE(*second);
  CHECK((**second)->payload == "1");
  house.pass(3s);
  REQUIRE(*first);
  CHECK((**first)->payload.find("Task timed out after 3.00 seconds") != std::string::npos);
  CHECK(house.ran == std::vector<std::string>{"\"hang\"", "1"});
}

TEST_CASE("the time of an event ahead counts from its turn") {
  AheadHouse house;
  auto first = house.begin_one("0");
  auto second = house.begin_one("1");
  house.pass(4ms);
  house.open();
  REQUIRE(*first);
  house.pass(3s - 1ms);
  CHECK_FALSE(*second);
  house.pass(1ms);
  REQUIRE(*second);
  CHECK((**second)->payload.find("Task timed out") != std::string::npos);
}

TEST_CASE("nothing is sent ahead of a function that writes output") {
  AheadHouse house;
  house.loud = true;
  auto first = house.begin_one("0");
  house.open();
  REQUIRE(*first);
  CHECK(house.sent_ahead() == 0);
  auto answers = house.begin_many(2);
  CHECK(house.sent_ahead() == 0);
  house.open();
  house.open();
  for (auto& answer : answers) CHECK(*answer);
}

TEST_CASE("a changed function's events ahead still run; when the server stops, they are refused") {
  AheadHouse house;
  auto answers = house.begin_many(3);
  SUBCASE("changed") {
    house.invoker->retire(House::function().concurrency_key, "another");
    for (int i = 0; i < 3; ++i) house.open();
    for (auto& answer : answers) {
      REQUIRE(*answer);
      CHECK((*answer)->has_value());
    }
    CHECK(house.launcher.alive() == 0);
  }
  SUBCASE("stopped") {
    house.tasks.spawn([](House* self) -> io::Task<void> {
      co_await self->invoker->close(self->loop.now());
    }(&house));
    house.loop.run_ready();
    house.open();
    for (auto& answer : answers) {
      REQUIRE(*answer);
      CHECK(!(*answer)->has_value());
    }
    CHECK(house.ran.size() == 1);
  }
}
