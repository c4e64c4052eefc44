// Prints one line of JSON: what the embedded store commits and reads per second on this disk.
// Usage: bench_store [DIR]
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>

#include "store/store.h"

using namespace mayfly;

namespace {

struct Run {
  std::uint64_t committed = 0;
  std::vector<double> latencies_ms;
};

io::Task<void> commit_until(io::Loop& loop, store::Store& store, int writer, MonoTime end,
                            store::Durability durability, Run& run) {
  std::string value(1024, 'v');
  for (int n = 0; loop.now() < end; ++n) {
    auto begin = loop.now();
    auto done =
        co_await store.commit({.puts = {{fmt::format("{}/{}", writer, n), value}}}, durability);
    if (!done) {
      fmt::print(stderr, "{}\n", done.error().message);
      std::exit(1);
    }
    run.latencies_ms.push_back(
        std::chrono::duration<double, std::milli>(loop.now() - begin).count());
    ++run.committed;
  }
}

std::string measure(io::Loop& loop, store::Store& store, int writers,
                    store::Durability durability) {
  constexpr double seconds = 2;
  io::TaskScope scope(loop);
  Run run;
  auto end = loop.now() + std::chrono::milliseconds(static_cast<int>(1000 * seconds));
  for (int w = 0; w < writers; ++w) {
    scope.spawn(commit_until(loop, store, w, end, durability, run));
  }
  loop.run_until(scope.drain(no_deadline));
  std::ranges::sort(run.latencies_ms);
  auto at = [&](double share) {
    return run.latencies_ms[static_cast<std::size_t>(
        share * static_cast<double>(run.latencies_ms.size() - 1))];
  };
  return fmt::format("{{\"commits_per_second\":{:.0f},\"p50_ms\":{:.3f},\"p99_ms\":{:.3f}}}",
                     static_cast<double>(run.committed) / seconds, at(0.5), at(0.99));
}

std::string measure_gets(io::Loop& loop, store::Store& store) {
  auto begin = loop.now();
  constexpr int count = 200'000;
  for (int n = 0; n < count; ++n) {
    auto row = store.get(fmt::format("0/{}", n % 500));
    if (!row || !*row) std::exit(1);
  }
  return fmt::format("{:.0f}", count / std::chrono::duration<double>(loop.now() - begin).count());
}

}  // namespace

int main(int argc, char** argv) {
  std::string dir = argc > 1 ? argv[1] : "/tmp/bench-store-XXXXXX";
  if (argc == 1 && ::mkdtemp(dir.data()) == nullptr) return 1;
  SystemClock clock;
  io::Loop loop(clock);
  std::string line;
  {
    io::Workers workers(loop, 1);
    auto store = store::open_embedded(loop, workers, dir, "bench");
    if (!store) {
      fmt::print(stderr, "{}\n", store.error().message);
      return 1;
    }
    using store::Durability;
    line = fmt::format(
        "{{\"bench\":\"store\",\"value_bytes\":1024,\"synced\":{{\"1\":{},\"8\":{},\"64\":{},"
        "\"256\":{}}},\"buffered\":{{\"64\":{}}},\"gets_per_second\":{}}}",
        measure(loop, **store, 1, Durability::synced),
        measure(loop, **store, 8, Durability::synced),
        measure(loop, **store, 64, Durability::synced),
        measure(loop, **store, 256, Durability::synced),
        measure(loop, **store, 64, Durability::buffered), measure_gets(loop, **store));
  }
  fmt::print("{}\n", line);
  if (argc == 1) std::filesystem::remove_all(dir);
  return 0;
}
