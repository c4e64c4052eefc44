#include "clock.h"

#include <time.h>

#include <cstdint>
#include <cstring>

#include "host.h"
#include "pages.h"

namespace mayfly::fork {
namespace {

// Node.js exports what it read from two clocks at its start: nanoseconds of the monotonic one, and
// microseconds since the epoch as a double. An Environment holds both side by side, and the array
// behind performance.nodeTiming begins with the second and the first as doubles, followed by times
// of the boot on the monotonic clock.
std::uint64_t* process_start = nullptr;
double* process_start_timestamp = nullptr;
std::uint64_t* uptime_start = nullptr;
std::uint64_t* environment = nullptr;
double* milestones = nullptr;
constexpr int milestone_count = 8;

std::uint64_t parked_monotonic_ns = 0;
std::uint64_t parked_wall_us = 0;

std::uint64_t nanoseconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}
std::uint64_t wall_us() { return nanoseconds(CLOCK_REALTIME) / 1000; }

bool same_bits(const void* a, const void* b) { return std::memcmp(a, b, sizeof(double)) == 0; }

}  // namespace

void find_clock() {
  process_start = host_symbol<std::uint64_t*>("_ZN4node11performance25performance_process_startE");
  process_start_timestamp =
      host_symbol<double*>("_ZN4node11performance35performance_process_start_timestampE");
  uptime_start = host_symbol<std::uint64_t*>("_ZN4node11per_process15node_start_timeE");
  environment = nullptr;
  milestones = nullptr;
  Range heap = heap_range();
  if (process_start == nullptr || process_start_timestamp == nullptr) return;
  auto start_ns = static_cast<double>(*process_start);
  auto* words = static_cast<std::uint64_t*>(pointer_to(heap.start));
  std::size_t count = (heap.end - heap.start) / sizeof(std::uint64_t);
  int found = 0;
  for (std::size_t i = 0; i + milestone_count < count; ++i) {
    if (words[i] == *process_start && same_bits(&words[i + 1], process_start_timestamp)) {
      environment = &words[i];
      ++found;
    }
    if (same_bits(&words[i], process_start_timestamp) && same_bits(&words[i + 1], &start_ns)) {
      milestones = reinterpret_cast<double*>(&words[i]);
      ++found;
    }
  }
  if (found != 2) environment = nullptr;  // a copy lies about: which one is read is unknown
  parked_monotonic_ns = nanoseconds(CLOCK_MONOTONIC);
  parked_wall_us = wall_us();
}

void renew_clock() {
  if (environment == nullptr || milestones == nullptr || uptime_start == nullptr) return;
  std::uint64_t parked_ns = nanoseconds(CLOCK_MONOTONIC) - parked_monotonic_ns;
  *process_start += parked_ns;
  *uptime_start += parked_ns;
  *process_start_timestamp += static_cast<double>(wall_us() - parked_wall_us);
  environment[0] = *process_start;
  std::memcpy(&environment[1], process_start_timestamp, sizeof(double));
  milestones[0] = *process_start_timestamp;
  for (int i = 1; i < milestone_count; ++i) {
    bool reached = milestones[i] > 0;  // what is still to come is 0 or -1
    if (reached) milestones[i] += static_cast<double>(parked_ns);
  }
}

}  // namespace mayfly::fork
