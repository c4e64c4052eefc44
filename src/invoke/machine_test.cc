#include "invoke/machine.h"

#include <doctest/doctest.h>

#include "base/limits.h"

using namespace mayfly;
using namespace mayfly::invoke;
using namespace std::chrono_literals;
using limits::mib;

namespace {

struct Bench {
  MachineReading next{.memory_total_bytes = 8192 * mib, .memory_available_bytes = 4096 * mib};
  int reads = 0;
  MonoTime now = MonoTime(1s);
  Machine machine{[this] {
                    ++reads;
                    return next;
                  },
                  2};
  void look(Duration passed) {
    now += passed;
    machine.look(now, 100ms);
  }
};

}  // namespace

TEST_CASE("a reading is good for a while; without a reader there is always room") {
  Bench bench;
  bench.look(0ms);
  bench.look(99ms);
  CHECK(bench.reads == 1);
  bench.look(1ms);
  CHECK(bench.reads == 2);
  Machine blind({}, 2);
  blind.look(MonoTime(1s), 0ms);
  CHECK(blind.has_memory(1ull << 50));
  CHECK(blind.at_ease());
}

TEST_CASE("a sixteenth of the memory is kept free, twice that is wanted back") {
  Bench bench;
  bench.look(0ms);
  CHECK(bench.machine.at_ease());
  CHECK(bench.machine.has_memory((4096 - 512) * mib));
  CHECK_FALSE(bench.machine.has_memory((4096 - 512) * mib + 1));
  // What has just been started has not taken its memory yet.
  bench.machine.promise(3000 * mib);
  CHECK(bench.machine.has_memory(584 * mib));
  CHECK_FALSE(bench.machine.has_memory(585 * mib));
  bench.next.memory_available_bytes = 600 * mib;
  bench.look(1s);
  CHECK(bench.machine.has_memory(88 * mib));
  CHECK_FALSE(bench.machine.has_memory(89 * mib));
  CHECK(bench.machine.wanted_bytes() == 424 * mib);
  CHECK_FALSE(bench.machine.at_ease());
}

TEST_CASE("who waits for memory much of the time has none, whatever is said to be available") {
  Bench bench;
  bench.next.memory_stalled = 5s;
  bench.look(0ms);
  bench.next.memory_stalled = 5s + 90ms;
  bench.look(1s);
  CHECK(bench.machine.at_ease());
  bench.next.memory_stalled = 5s + 90ms + 110ms;
  bench.look(1s);
  CHECK_FALSE(bench.machine.at_ease());
  CHECK(bench.machine.has_memory(64 * mib));
  bench.next.memory_stalled = 5s + 700ms;
  bench.look(1s);
  CHECK_FALSE(bench.machine.has_memory(64 * mib));
}

TEST_CASE("processors are contended when far more runs than they can, and not at once") {
  Bench bench;
  bench.next.runnable = 4;
  bench.next.cpu_stalled = 0s;
  bench.look(0ms);
  bench.next.runnable = 24;
  bench.next.cpu_stalled = 90ms;
  bench.look(100ms);
  CHECK_FALSE(bench.machine.contended());
  for (int i = 2; i < 20; ++i) {
    bench.next.cpu_stalled = i * 90ms;
    bench.look(100ms);
  }
  CHECK(bench.machine.contended());
  CHECK_FALSE(bench.machine.at_ease());
  // Runnable tasks that nobody waits behind: another machine's view.
  bench.look(1s);
  CHECK_FALSE(bench.machine.contended());
}

TEST_CASE("this machine can be read") {
  auto reading = read_machine();
  CHECK(reading.memory_total_bytes > 0);
  CHECK(reading.memory_available_bytes > 0);
  CHECK(reading.memory_available_bytes <= reading.memory_total_bytes);
}
