// Forks a parked, unprivileged guest into a jail that waits for it, by tracing the guest's own
// fork(2).
//
// The guest may not enter namespaces, and must not: its code is the function's. So its fork is
// stopped at the system call, and instead of the fork three processes are made, of which only the
// last ever runs an instruction of the guest:
//
//   guest ──clone(VM)──► stage 1: enters the namespaces, takes the jail's identity, drops
//   everything
//                          └─clone(VM)──► stage 2: first of them in the jail's pid namespace
//                                           └─the guest's own fork──► the new environment
//
// Both stages share the guest's memory, so that only the last step copies page tables; they execute
// nothing but system calls put into them one at a time, and end before the new environment runs.
// Stage 2 is there so that the new environment becomes a child of the jail's init.
//
// While stage 1 holds capabilities (over the new jail's user namespace alone), all threads of the
// guest are stopped, and the instruction the stages execute lies in memory that no other process
// writes to.
//
// Caller: the template's init, single-threaded, with every signal blocked.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>

namespace mayfly::sandbox {

struct TracedFork {
  pid_t guest = -1;        // parked in its fork loop
  pid_t nested_init = -1;  // of the jail to fork into; its first other process is the fork
};

struct ForkFailure {
  int error = 0;  // errno; 0: it worked
  const char* step = "";
  // The guest is in an unknown state: it must not be used again.
  bool guest_is_broken = false;
  std::optional<int> guest_ended;  // its wait status: nobody else can wait for it any more
};

// What a jail's first process after its init is called in it: stage 2 was before it.
inline constexpr pid_t forked_pid = 3;

// What the tracer's caller does in between. Each but `done` answers 0 or an errno.
struct ForkSteps {
  std::function<int()> give_order;  // sends the order to the guest
  std::function<int()> entered;     // the jail has been entered: its init may close itself
  std::function<int()> may_run;     // waits until it has; then the environment begins
  // As soon as the new environment runs, before the stages are ended; or when nothing came of it.
  std::function<void(const ForkFailure&)> done;
};
void trace_fork(const TracedFork& what, const ForkSteps& steps);

}  // namespace mayfly::sandbox
