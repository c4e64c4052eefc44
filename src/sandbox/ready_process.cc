#include "sandbox/ready_process.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <memory>
#include <utility>

#include "sandbox/jail.h"

// clone(3) by the name under which no sanitizer puts something of its own around it: that would
// treat the child as one of fork(2), with memory of its own.
extern "C" int __clone(int (*body)(void*), void* stack, int flags, void* argument, ...);  // NOLINT

namespace mayfly::sandbox {

// At the low end of the process's stack.
struct ReadyProcess {
  enum Stage : std::uint32_t { preparing, waiting, ordered, dismissed, failed };
  Plan& plan;
  std::span<const Step> steps;
  std::atomic<std::uint32_t> stage = preparing;
  std::atomic<std::uint32_t> pid = 0;  // the kernel clears it at its exec, or its end
  int exec_step = 0;
};

namespace {

constexpr std::size_t stack_bytes = 128 << 10;

void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
  while (word.load() == value) {
    ::syscall(SYS_futex, &word, FUTEX_WAIT, value, nullptr, nullptr, 0);
  }
}

void set(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  word.store(value);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

[[noreturn]] void give_up(ReadyProcess& self) {
  set(self.stage, ReadyProcess::failed);
  ::_exit(127);
}

int be_ready(void* argument) {
  auto& self = *static_cast<ReadyProcess*>(argument);
  for (Run by : {Run::both, Run::program_ahead}) {
    if (!take_steps(self.steps, self.plan, by)) give_up(self);
  }
  set(self.stage, ReadyProcess::waiting);
  wait_while(self.stage, ReadyProcess::waiting);
  if (self.stage.load() != ReadyProcess::ordered) ::_exit(0);
  if (!take_steps(self.steps, self.plan, Run::program)) give_up(self);
  int error = execute(self.plan.spec.argv, self.plan.spec.env);
  send_report(self.plan.control, {Report::failed, self.exec_step, error, -1});
  give_up(self);
}

void forget(Plan& plan) {
  auto* process = std::exchange(plan.ready, nullptr);
  std::destroy_at(process);
  ::munmap(process, stack_bytes);
}

}  // namespace

Outcome make_ready_process(Plan& plan, std::span<const Step> steps) {
  void* memory = ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return {errno};
  plan.ready = new (memory) ReadyProcess{.plan = plan, .steps = steps};
  auto* pid = &plan.ready->pid;
  int flags = CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
  if (__clone(be_ready, static_cast<char*>(memory) + stack_bytes, flags, plan.ready, pid, nullptr,
              pid) < 0) {
    int error = errno;
    forget(plan);
    return {error};
  }
  wait_while(plan.ready->stage, ReadyProcess::preparing);
  if (plan.ready->stage.load() == ReadyProcess::failed) ::_exit(1);
  return {};
}

pid_t start_ready_process(Plan& plan, int exec_step) {
  ReadyProcess& process = *plan.ready;
  std::uint32_t pid = process.pid.load();
  process.exec_step = exec_step;
  set(process.stage, ReadyProcess::ordered);
  wait_while(process.pid, pid);
  bool started = process.stage.load() != ReadyProcess::failed;
  forget(plan);
  return started ? static_cast<pid_t>(pid) : -1;
}

pid_t ready_process_id(const Plan& plan) { return static_cast<pid_t>(plan.ready->pid.load()); }

void dismiss_ready_process(Plan& plan) {
  pid_t pid = ready_process_id(plan);
  set(plan.ready->stage, ReadyProcess::dismissed);
  ::waitpid(pid, nullptr, 0);
  forget(plan);
}

}  // namespace mayfly::sandbox
