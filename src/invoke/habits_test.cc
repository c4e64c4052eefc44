#include "invoke/habits.h"

#include <doctest/doctest.h>

#include "invoke/fair_queue.h"
#include "invoke/house_for_tests.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace mayfly::invoke::testing;

namespace {

IdleTimes of(int count, Duration idle) {
  IdleTimes out;
  for (int i = 0; i < count; ++i) out.note(idle);
  return out;
}

struct Item {
  std::string owner;
};

}  // namespace

TEST_CASE("environments are kept as long as nearly all idle times were, within bounds") {
  CHECK(of(7, 5s).keep(10min) == 10min);  // too few to know
  CHECK(of(8, 5s).keep(10min) == 1min);
  CHECK(of(8, 5s).keep(30s) == 30s);
  auto every_quarter = of(20, 15min).keep(10min);
  CHECK(every_quarter > 15min);
  CHECK(every_quarter < 23min);
  CHECK(of(20, 59min).keep(10min) == 1h);
  CHECK(of(20, 2h).keep(10min) == 1min);      // not worth waiting for
  CHECK(of(400, 10ms).keep(10min) == 10min);  // no rest at all
}

TEST_CASE("one long rest among a hundred is left out, and old habits fade") {
  auto times = of(198, 2min);
  times.note(50min);
  CHECK(times.keep(10min) < 4min);
  for (int i = 0; i < 3; ++i) times.note(50min);
  CHECK(times.keep(10min) > 50min);
  for (int i = 0; i < 2000; ++i) times.note(2min);
  CHECK(times.keep(10min) < 4min);
}

TEST_CASE("what is used every few seconds comes back sooner than what is used every half hour") {
  CHECK(of(50, 5s).comes_back(1s) > of(50, 30min).comes_back(1s));
  // … until it has not been used for longer than ever.
  CHECK(of(50, 5s).comes_back(2min) < of(50, 5s).comes_back(1s));
  CHECK(IdleTimes().comes_back(0s) > IdleTimes().comes_back(5min));
}

TEST_CASE("hops are few, and habits only where they are regular") {
  auto runnable = [](const std::string& name) {
    return std::make_shared<const Runnable>(House::function(name));
  };
  Habits habits;
  auto b = runnable("b");
  for (int call = 0; call < 10; ++call) {
    if (!habits.hops.empty()) habits.note_call();
    if (call % 2 == 0) habits.note_hop(b);
    if (call == 3) CHECK_FALSE(habits.usual(habits.hops.front()));
  }
  REQUIRE(habits.hops.size() == 1);
  CHECK(habits.usual(habits.hops.front()));
  for (int call = 0; call < 10; ++call) habits.note_call();
  CHECK_FALSE(habits.usual(habits.hops.front()));
  for (int i = 0; i < 20; ++i) habits.note_hop(runnable("c" + std::to_string(i)));
  CHECK(habits.hops.size() == Habits::hops_max);
}

TEST_CASE("habits of functions that rest are forgotten where there are many") {
  AllHabits all;
  auto held = all.of("held");
  for (int i = 0; i < 10'000; ++i) all.of(std::to_string(i))->last_use = MonoTime(Duration(i));
  CHECK(all.find("held") == held.get());
  CHECK(all.find("9999") != nullptr);
  CHECK(all.find("0") == nullptr);
}

TEST_CASE("owners take turns by what theirs cost, and save no claims up") {
  FairQueue<Item> queue;
  Item many[4] = {{"many"}, {"many"}, {"many"}, {"many"}};
  Item one{"one"};
  Item dear[2] = {{"dear"}, {"dear"}};
  std::string order;
  auto take = [&](double cost = 1) {
    Item* item = queue.next([](const Item*) { return true; });
    REQUIRE(item);
    order += item->owner[0];
    queue.take(item->owner, item, item->owner == "dear" ? 3 : cost);
  };
  for (auto& item : many) queue.add("many", &item);
  for (auto& item : dear) queue.add("dear", &item);
  take();
  take();
  queue.add("one", &one);
  for (int i = 0; i < 5; ++i) take();
  CHECK(order == "mdommdm");
  CHECK(queue.empty());
  // A long rest gives no right to a burst.
  for (auto& item : many) queue.add("many", &item);
  queue.add("one", &one);
  order.clear();
  for (int i = 0; i < 3; ++i) take();
  CHECK(order.find('o') <= 1);
  CHECK(queue.next([](const Item* item) { return item->owner == "one"; }) == nullptr);
}
