// Control groups of jails, on cgroup v2, v1, or a mixture (each controller where the machine has
// it). Everything is made below the group the server itself runs in, so that limits set on the
// server by its own supervisor hold for its jails too.
//
//   <own group>/mayfly-<launcher pid>.<its start time>/<jail>
//
// Called by the launcher (make, remove) and by the server (statistics, freezing). No threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/fd.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox {

// Where one controller's files are. version 0: this machine does not let us use it (`why_not`).
struct ControllerPlace {
  int version = 0;
  std::string dir{};
  std::string why_not{};
};

struct ControlGroup {
  ControllerPlace memory;
  ControllerPlace cpu;
  ControllerPlace processes;
  ControllerPlace freezer;
  ControllerPlace accounting;  // processor time used
};

// Finds which controllers can be used and makes the launcher's directory in each hierarchy.
// Directories of launchers that are gone are removed first, with the processes left in them.
// `Room::make` lets the launcher move the server and itself into a leaf of their own v2 group,
// without which cgroup v2 allows no limits below it; a mere look leaves everything in place.
enum class Room { make, look };
ControlGroup open_control_groups(Room room);
void close_control_groups(const ControlGroup& base);

// One jail's group below `base`, with limits.
Result<ControlGroup> make_control_group(const ControlGroup& base, const std::string& name);
// 0 is none.
Result<> set_limits(const ControlGroup& group, const Limits& limits);
// Succeeds without effect where there is no cpu controller. 0 is all of the machine.
Result<> set_cpu_share(const ControlGroup& group, std::uint32_t millis);
// As Instance::set_cpu_weight.
void set_cpu_weight(const ControlGroup& group, std::uint32_t per_mille);
void remove_control_group(const ControlGroup& group);

// Descriptors with which a process of one thread joins: the v2 directory for clone3, and `tasks` of
// each v1 directory, to which it writes "0". That is the one way of joining for which the kernel
// waits for nothing: cgroup.procs, and the number of another process, take a grace period of RCU,
// 7 to 20 ms, in which no other group can be made or joined.
struct JoinDescriptors {
  io::Fd unified;
  std::vector<io::Fd> tasks;
};
Result<JoinDescriptors> open_to_join(const ControlGroup& group);

Stats read_stats(const ControlGroup& group);
// The files that are read for it, and a reading by them: to look for a file takes longer than to
// read it. None where the machine does not count all.
inline constexpr std::size_t account_files = 4;
std::vector<io::Fd> open_accounts(const ControlGroup& group);
Stats read_stats(const ControlGroup& group, const std::vector<io::Fd>& open);
bool killed_for_memory(const ControlGroup& group);
// Lifts what slows the end of killed processes: the processor quota (under a small one a thousand
// of them would take minutes to die), a small weight, and the v1 freezer (a frozen process does not
// see SIGKILL).
void let_die(const ControlGroup& group);
// False when there is no freezer.
bool set_frozen(const ControlGroup& group, bool frozen);

// "12345.678": the process's pid and start time, which together are never reused.
std::string process_stamp(int pid);
bool stamp_is_alive(std::string_view stamp);

}  // namespace mayfly::sandbox
