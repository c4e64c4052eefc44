// Jail: what the first process of a jail does to itself, one straight list of named steps, and
// then as the jail's init.
//
// The launcher clones it ahead of demand and it parks half way: joining a v1 control group waits
// for the kernel for 10 ms and more, and no request should. The process that will be the program
// waits beside it (ready_process.h). The order (a launch request) comes over the control socket, on
// which the jail also reports.
//
// The init has that process start the program, or starts it with vfork, forwards signals to it,
// reaps every orphan, and ends with the program: then the kernel ends all that is left in the pid
// namespace. The init of a program that may be forked goes on instead as the host of nested jails
// (fork_host.h); that of one that may become an environment has that to do first (specialise.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/jail_steps.h"

namespace mayfly::sandbox {

// Reports from the jail to the launcher, one message each on the control socket:
//
//   offset  size  field
//   0       4     kind
//   4       4     step (index into jail steps) | wait status
//   8       4     errno
//   12      4     item (which bind, which companion), or -1
//
// Descriptors: with `parked` (nested jails only) a pidfd of the jail's init; with `started` of a
// nested jail its listeners, of one to be specialised its mount namespace.
struct Report {
  enum Kind : std::uint32_t {
    failed = 1,
    started = 2,
    ended = 3,
    parked = 4,
    specialised = 5,
    process_ended = 6,
    poised = 7
  };
  std::uint32_t kind = 0;
  std::int32_t step_or_status = 0;
  std::int32_t error = 0;
  std::int32_t item = -1;
};
static_assert(sizeof(Report) == 16);

[[noreturn]] void run_jail(Plan plan);
// The same for a jail below a template's: cloned by the template's init into new namespaces.
[[noreturn]] void run_nested_jail(Plan plan);

// The name of step `index`, for messages.
const char* jail_step_name(int index);
const char* nested_jail_step_name(int index);
// Error::reason of a failure in it (sandbox.h), or empty.
std::string_view jail_step_reason(int index);

// --- what both kinds of init do ---

void send_report(int control, const Report& report, std::span<const int> fds = {});
// Takes those of the steps that are `by` whom it says; false: one failed, and was reported.
bool take_steps(std::span<const Step> steps, Plan& plan, Run by);
// Takes the steps, all of them as long as there is no ready process; a failure is reported and ends
// the process.
void run_steps(std::span<const Step> steps, Plan& plan);
// execve(2) with no signal blocked. Answers the errno if it fails.
int execute(const std::vector<std::string>& argv, const std::vector<std::string>& env);
// Starts a program by vfork: it costs no copy of page tables, and it returns after the exec, so
// that its success or errno is known here. `prepare` runs in the child before, and answers 0 or an
// errno. With an `error` the child is still to be reaped, where there is one.
pid_t spawn(const std::vector<std::string>& argv, const std::vector<std::string>& env,
            const std::function<int()>& prepare, int& error);
// Blocks every signal: a blocked signal reaches even the first process of a pid namespace, where
// sigwaitinfo takes it, while its default action would be ignored.
void block_signals();
// Reaps all children there are; true when `program` was among them.
bool reap(pid_t program, int& status);
// In the launcher, before any jail: where its heap begins, which inits give up in the end.
void note_heap();
// Makes the pages of the heap this process's own, ahead of the moment in which they are written.
void touch_heap();
// Forwards signals to `program`, reaps, and ends with it. Nothing that was allocated is there any
// more.
[[noreturn]] void serve_as_init(pid_t program, int control);

}  // namespace mayfly::sandbox
