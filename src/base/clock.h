// Time as a constructor argument. A test moves a ManualClock (sim/) by hand and waits for nothing.
#pragma once

#include <chrono>
#include <cstdint>

namespace mayfly {

using Duration = std::chrono::nanoseconds;
// Wall time, UTC, for everything that users see or that is stored.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;
// Monotonic time, for deadlines and measuring; meaningless across processes.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
// Deadlines are values that are passed down; a layer never invents a fresh timeout.
using Deadline = MonoTime;
inline constexpr Deadline no_deadline = Deadline::max();

// Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // The machine's: signatures, credentials, deadlines that a guest reads, HTTP dates.
  virtual WallTime wall() const = 0;
  virtual MonoTime mono() const = 0;
  // Platform time: what the cloud's own rules go by (retries, ages, retention, rates, times of
  // change). It is wall() unless somebody moved or froze it, see MovableClock.
  virtual WallTime platform() const { return wall(); }
  virtual bool platform_runs() const { return true; }
  // platform() less wall(), now.
  virtual Duration platform_offset() const { return Duration::zero(); }
};

// The machine's clock.
class SystemClock final : public Clock {
 public:
  WallTime wall() const override { return std::chrono::system_clock::now(); }
  MonoTime mono() const override { return std::chrono::steady_clock::now(); }
};

inline std::int64_t epoch_millis(WallTime t) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(t.time_since_epoch()).count();
}
inline WallTime from_epoch_millis(std::int64_t ms) {
  return WallTime(std::chrono::milliseconds(ms));
}

}  // namespace mayfly
