// Machine: what the real machine has left, so that a full one degrades: starts wait, then are
// refused, and what is idle ends, before the kernel has to kill or everything becomes slow.
//
// Looked at only where an environment is to start and once a second while any lives
// (pool_starts.cc); a warm call never looks. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"

namespace mayfly::invoke {

// One look. What the machine does not tell is left out and counts as plenty.
struct MachineReading {
  std::uint64_t memory_total_bytes = 0;
  std::uint64_t memory_available_bytes = 0;  // without swapping; of our control group, where less
  // Tasks that run or wait for a processor.
  std::optional<double> runnable = {};
  // Pressure stall information: for how long, since the boot, some task has waited.
  std::optional<Duration> cpu_stalled = {};
  std::optional<Duration> memory_stalled = {};
};
using ReadMachine = std::function<MachineReading()>;

// /proc/meminfo, /proc/loadavg and /proc/pressure, and the files of our own control groups (both
// versions) where these are tighter.
MachineReading read_machine();

class Machine {
 public:
  // An empty `read`: a machine that always has room.
  Machine(ReadMachine read, std::size_t processors)
      : read_(std::move(read)), processors_(processors) {}

  // Reads anew when the last reading is as old as that.
  void look(MonoTime now, Duration age);
  // An environment of about so many bytes may start. After promise(), until the next reading, less
  // is left: what has just started has not taken its memory yet.
  bool has_memory(std::uint64_t bytes) const;
  void promise(std::uint64_t bytes) { promised_ += bytes; }
  // What is to be given back, of what can be spared, before the machine is at ease.
  std::uint64_t wanted_bytes() const;
  bool at_ease() const { return wanted_bytes() == 0 && !contended_; }
  // So many tasks wait for the processors that further work of who has plenty only slows all down.
  bool contended() const { return contended_; }
  const MachineReading& reading() const { return now_; }

 private:
  std::uint64_t reserve_bytes() const;

  ReadMachine read_;
  std::size_t processors_;
  MachineReading now_;
  std::optional<MonoTime> looked_;
  std::uint64_t promised_ = 0;
  double runnable_ = 0;        // smoothed
  double memory_stalled_ = 0;  // share of the time between the last two readings
  double cpu_stalled_ = 1;
  bool contended_ = false;
};

}  // namespace mayfly::invoke
