// Memory alarms: a jail whose memory limit leaves it nothing more is held for a moment, to be
// looked at, before anything of it is killed. The kernel tells when the limit has been reached; its
// own hard limit is some room above, so that no system call fails meanwhile, and who runs through
// the room before he is held is killed by the kernel, as without an alarm.
//
//   cgroup v1   a threshold of the usage at the limit tells an eventfd (memory_threshold.h)
//   cgroup v2   memory.high at the limit: who goes beyond is slowed down, and memory.events changes
//               (kernel documentation, "Control Group v2")
//
// Called by the launcher and its helper (memory_helper.h), and give_memory_room() by the server as
// well. No threads, no state.
#pragma once

#include <chrono>
#include <cstdint>

#include "io/fd.h"
#include "sandbox/control_group.h"

namespace mayfly::sandbox {

// How long a jail is held at the most before all of it is killed.
inline constexpr auto memory_hold_time = std::chrono::seconds(1);
// What it may have beyond its limit until it is held; and once more while its processes tell what
// they were at.
inline constexpr std::uint64_t memory_room_bytes = 64ull << 20;
// v1: after so many false alarms of one jail there are no more of it, and the kernel kills.
inline constexpr unsigned memory_squeezes = 8;

// Of a group of cgroup v2 whose limit is set already. EPOLLPRI is the alarm. None: this machine has
// no means, and the kernel kills by itself.
io::Fd arm_memory_alarm(const ControlGroup& group, std::uint64_t limit_bytes);
// After its events: so that they tell of the next time.
void take_memory_alarm(const ControlGroup& group, const io::Fd& alarm);
struct MemoryUse {
  std::uint64_t bytes = 0;  // all of it
  std::uint64_t files = 0;  // of that, pages of files, which can be dropped
};
MemoryUse memory_use(const ControlGroup& group);
// An alarm may be a false one: what is left may be pages of files.
bool is_out_of_memory(const ControlGroup& group, std::uint64_t limit_bytes);
// The process the kernel would kill, -1: none.
int largest_process(const ControlGroup& group);
void give_memory_room(const ControlGroup& group);
// v2: as without an alarm, from now on. (v1: lower_limit().)
void let_kernel_kill(const ControlGroup& group, std::uint64_t limit_bytes);

}  // namespace mayfly::sandbox
