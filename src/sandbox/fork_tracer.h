// Forks a parked, unprivileged guest into jails that wait for it, by tracing the guest's own
// fork(2).
//
// The guest may not enter namespaces, and must not: its code is the function's. So it is stopped,
// once and for ever, at the entry of its fork, and each environment is made by two other processes,
// which share its memory and execute nothing but system calls put into them one at a time:
//
//   guest ──clone(VM)──► stage 1: enters the jail's namespaces and control groups, takes its socket
//                        of orders and its identity, drops everything; then it ends
//                          └─clone(VM)──► stage 2: first of them in the jail's pid namespace
//                                           └─the guest's own fork──► the new environment
//
// Stage 2 is there so that the environment becomes a child of the jail's init. All of this costs a
// millisecond and more, a good part of it for the page tables, and is done ahead of demand: the new
// process waits for its order (fork_order.h), by which it becomes one environment among others.
//
// Stage 1 holds capabilities (over the new jail's user namespace alone) while all threads of the
// guest stand still, and the instruction the stages execute lies in memory that no other process
// writes to.
//
// Caller: the template's init, single-threaded, with every signal blocked.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <vector>

#include "sandbox/tracee.h"

namespace mayfly::sandbox {

struct ForkFailure {
  int error = 0;  // errno; 0: it worked
  const char* step = "";
  // No other fork can be made either: the guest has as many processes below it as it may have.
  bool of_guest = false;
};

// What a jail's first process after its init is called in it: stage 2 was before it.
inline constexpr pid_t forked_pid = 3;

// A jail to fork into; the numbers are of descriptors of its init, which must let itself be
// looked into (PR_SET_DUMPABLE) until it is done.
struct JailToEnter {
  pid_t init = -1;
  int orders = -1;          // becomes descriptor fork_fd of the environment
  std::vector<int> groups;  // to which "0" is written to join
};

class ForkTracer {
 public:
  explicit ForkTracer(pid_t guest) : guest_(guest) {}

  bool holds() const { return held_; }
  // Has the guest stopped at the fork that `give_order` (0 or an errno) asks it for. After a
  // failure it is in an unknown state and must not be used again.
  ForkFailure hold(const std::function<int()>& give_order);
  // Once it is held. `may_run` (0 or an errno) is called when nobody has to look into the jail's
  // init any more, and before the new process does anything. Where nothing came of it, nothing is
  // left.
  ForkFailure fork_into(const JailToEnter& jail, const std::function<int()>& may_run);
  // The guest's wait status where it ended under these hands: nobody else can wait for it any more.
  std::optional<int> guest_ended() const { return guest_ended_; }

 private:
  int stop_guest();
  Stop wait_for_guest();
  int await_fork();
  int check_instruction() const;
  int stop_other_threads();
  int leave_call();

  Tracee guest_;
  bool held_ = false;
  std::optional<int> guest_ended_;
  CallRegisters at_fork_;  // of the guest, inside its fork
  std::uint64_t number_ = 0;
  std::uint64_t deadline_ = 0;
};

}  // namespace mayfly::sandbox
