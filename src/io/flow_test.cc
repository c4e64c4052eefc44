#include "io/flow.h"

#include <doctest/doctest.h>

namespace mayfly::io {
namespace {

struct Rig {
  SystemClock clock;
  Loop loop{clock};
  Flow flow{loop};
  TaskScope tasks{loop};
  std::vector<std::string> seen;  // parts, "END" or the error's text

  static Task<void> take_all(Rig& rig) {
    while (true) {
      auto part = co_await rig.flow.next(rig.tasks.stop_token());
      if (!part) rig.seen.push_back(part.error().message);
      if (part) rig.seen.push_back(part->empty() ? "END" : *part);
      if (!part || part->empty()) co_return;
    }
  }
  static Task<void> wait_taken(Rig& rig, std::uint64_t total) {
    auto wake = co_await rig.flow.wait_taken(total, no_deadline, rig.tasks.stop_token());
    rig.seen.push_back(wake == Wake::notified ? "taken" : "stopped");
  }
  ~Rig() { loop.run_until(tasks.close()); }
};

TEST_CASE("bytes arrive in order, then the end") {
  Rig rig;
  rig.flow.push("a");
  rig.flow.push("b");
  rig.tasks.spawn(Rig::take_all(rig));
  rig.loop.run_ready();
  rig.flow.push("");
  rig.flow.push("c");
  rig.loop.run_ready();
  rig.flow.end();
  rig.flow.break_off({ErrorKind::internal, "too late", {}});
  rig.flow.push("after the end");
  rig.loop.run_ready();
  CHECK(rig.seen == std::vector<std::string>{"ab", "c", "END"});
}

TEST_CASE("what was pushed before a break is still taken") {
  Rig rig;
  rig.flow.push("a");
  rig.flow.break_off({ErrorKind::unavailable, "broken", {}});
  rig.flow.end();
  rig.tasks.spawn(Rig::take_all(rig));
  rig.loop.run_ready();
  CHECK(rig.seen == std::vector<std::string>{"a", "broken"});
}

TEST_CASE("a maker waits for the taker, and not for one that has left") {
  Rig rig;
  rig.flow.push("12345");
  rig.tasks.spawn(Rig::wait_taken(rig, 5));
  rig.loop.run_ready();
  CHECK(rig.seen.empty());
  CHECK(rig.flow.waiting() == 5);
  CHECK(rig.flow.take() == "12345");
  rig.loop.run_ready();
  CHECK(rig.seen == std::vector<std::string>{"taken"});
  rig.flow.push("678");
  rig.tasks.spawn(Rig::wait_taken(rig, 10));
  rig.flow.leave();
  CHECK(rig.flow.taken() == 8);
  rig.flow.push("90");
  rig.loop.run_ready();
  CHECK(rig.flow.waiting() == 0);
  CHECK(rig.seen.size() == 2);
}

TEST_CASE("a waiting taker and a waiting maker can be stopped") {
  Rig rig;
  rig.tasks.spawn(Rig::take_all(rig));
  rig.tasks.spawn(Rig::wait_taken(rig, 1));
  rig.loop.run_ready();
  rig.loop.run_until(rig.tasks.close());
  std::ranges::sort(rig.seen);
  CHECK(rig.seen == std::vector<std::string>{"stopped", "the next part of a body: cancelled"});
}

TEST_CASE("the call at the next taking comes once") {
  Rig rig;
  int calls = 0;
  rig.flow.on_take([&] { ++calls; });
  rig.flow.push("a");
  CHECK(calls == 0);
  rig.flow.take();
  rig.flow.take();
  CHECK(calls == 1);
  rig.flow.push("b");
  rig.flow.take();
  CHECK(calls == 1);
  rig.flow.on_take([&] { ++calls; });
  rig.flow.on_take(nullptr);
  rig.flow.push("c");
  rig.flow.leave();
  CHECK(calls == 1);
}

}  // namespace
}  // namespace mayfly::io
