// Memory alarms: a jail whose memory limit leaves it nothing more is held for a moment, to be
// looked at, before anything of it is killed. By what the kernel offers:
//
//   cgroup v1   memory.oom_control with oom_kill_disable: who faults beyond the limit waits in the
//               kernel, which tells of it by an eventfd. A system call that needs the memory fails
//               instead, and "critical" of memory.pressure_level tells of that (kernel
//               documentation, "Memory Resource Controller").
//   cgroup v2   memory.high at the limit, and memory.max above it: who goes beyond is slowed down,
//               and memory.events changes (kernel documentation, "Control Group v2").
//
// Called by the launcher, and give_room() by the server as well. No threads, no state.
#pragma once

#include <chrono>
#include <cstdint>

#include "io/fd.h"
#include "sandbox/control_group.h"

namespace mayfly::sandbox {

// How long a jail is held at the most before all of it is killed.
inline constexpr auto memory_hold_time = std::chrono::seconds(1);
// What it may have beyond its limit while its processes tell what they were at.
inline constexpr std::uint64_t memory_room_bytes = 64ull << 20;

struct MemoryAlarm {
  io::Fd fd;                 // none: this machine has no means, and the kernel kills by itself
  std::uint32_t events = 0;  // of epoll(7) that are the alarm
};
// Of a group whose limit is set already.
MemoryAlarm arm_memory_alarm(const ControlGroup& group, std::uint64_t limit_bytes);
// After its events: so that they tell of the next time.
void take_memory_alarm(const ControlGroup& group, const io::Fd& alarm);
// An alarm may be a false one: what is left may be files' pages, which can be dropped.
bool is_out_of_memory(const ControlGroup& group, std::uint64_t limit_bytes);
// The process the kernel would kill, -1: none.
int largest_process(const ControlGroup& group);
void give_memory_room(const ControlGroup& group);
// As without an alarm, from now on.
void let_kernel_kill(const ControlGroup& group, std::uint64_t limit_bytes);

}  // namespace mayfly::sandbox
