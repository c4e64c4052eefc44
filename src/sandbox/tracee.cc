#include "sandbox/tracee.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace mayfly::sandbox {

std::uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

#if defined(__x86_64__)

namespace {

static_assert(sizeof(user_regs_struct) <= sizeof(CallRegisters::words));

user_regs_struct unpack(const CallRegisters& registers) {
  user_regs_struct out{};
  std::memcpy(&out, registers.words.data(), sizeof out);
  return out;
}

CallRegisters pack(const user_regs_struct& registers) {
  CallRegisters out;
  std::memcpy(out.words.data(), &registers, sizeof registers);
  return out;
}

constexpr std::uint64_t call_instruction_bytes = 2;  // 0F 05

// PTRACE_EVENT_STOP carries the number of the signal that stops; all others SIGTRAP.
Stop classify(pid_t pid, int status) {
  Stop stop;
  if (!WIFSTOPPED(status)) {
    stop.kind = Stop::ended;
    stop.wait_status = status;
    return stop;
  }
  stop.event_number = status >> 16;
  if (stop.event_number != 0) {
    stop.kind = Stop::event;
    return stop;
  }
  int number = WSTOPSIG(status);
  if (number == (SIGTRAP | 0x80)) {
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    stop.kind = info.op == PTRACE_SYSCALL_INFO_ENTRY ? Stop::entry : Stop::exit;
    stop.call_number = info.entry.nr;
    std::ranges::copy(info.entry.args, stop.arguments.begin());
  } else if (number == SIGTRAP) {
    stop.kind = Stop::step;
  } else {
    stop.kind = Stop::signal;
    stop.signal_number = number;
  }
  return stop;
}

}  // namespace

std::uint64_t CallRegisters::instruction() const { return unpack(*this).rip; }
std::uint64_t CallRegisters::stack() const { return unpack(*this).rsp; }
std::array<std::uint64_t, 6> CallRegisters::arguments() const {
  auto raw = unpack(*this);
  return {raw.rdi, raw.rsi, raw.rdx, raw.r10, raw.r8, raw.r9};
}

CallRegisters with_call(const CallRegisters& base, std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments) {
  auto registers = unpack(base);
  registers.rax = registers.orig_rax = number;
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = arguments[5];
  return pack(registers);
}

int Tracee::seize(Events events) {
  constexpr long new_processes = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                 PTRACE_O_TRACECLONE | PTRACE_O_TRACESECCOMP;
  constexpr long exec = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  long options = events == Events::exec ? exec : new_processes;
  return ::ptrace(PTRACE_SEIZE, pid_, nullptr, options) == 0 ? 0 : errno;
}

int Tracee::interrupt() {
  return ::ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) == 0 ? 0 : errno;
}

void Tracee::detach() { ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr); }

void Tracee::kill_and_reap() {
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, __WALL) == pid_ && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
}

// The init blocks every signal; a stop of a tracee comes with a SIGCHLD.
Stop Tracee::wait(std::uint64_t deadline_ns) {
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  int how = __WALL | (deadline_ns == no_deadline_ns ? 0 : WNOHANG);
  while (true) {
    int status = 0;
    pid_t got = ::waitpid(pid_, &status, how);
    if (got == pid_) return classify(pid_, status);
    if (got < 0) return {.kind = Stop::ended};
    std::uint64_t now = monotonic_ns();
    if (now >= deadline_ns) return {};
    timespec left{static_cast<time_t>((deadline_ns - now) / 1'000'000'000),
                  static_cast<long>((deadline_ns - now) % 1'000'000'000)};
    ::sigtimedwait(&child, nullptr, &left);
  }
}

int Tracee::go_on(Until until, int signal) {
  auto request = PTRACE_CONT;
  if (until == Until::call) request = PTRACE_SYSCALL;
  if (until == Until::step) request = PTRACE_SINGLESTEP;
  return ::ptrace(request, pid_, nullptr, signal) == 0 ? 0 : errno;
}

pid_t Tracee::new_process() const {
  unsigned long pid = 0;
  ::ptrace(PTRACE_GETEVENTMSG, pid_, nullptr, &pid);
  return static_cast<pid_t>(pid);
}

int Tracee::read(CallRegisters& out) const {
  user_regs_struct registers{};
  if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &registers) != 0) return errno;
  out = pack(registers);
  return 0;
}

int Tracee::write(const CallRegisters& registers) const {
  auto raw = unpack(registers);
  return ::ptrace(PTRACE_SETREGS, pid_, nullptr, &raw) == 0 ? 0 : errno;
}

namespace {

// From a stop outside of system calls: goes back to the instruction and does it again.
CallRegisters again(const CallRegisters& base, std::uint64_t number,
                    const std::array<std::uint64_t, 6>& arguments) {
  auto registers = unpack(with_call(base, number, arguments));
  registers.rip -= call_instruction_bytes;
  registers.orig_rax = ~0ull;  // not inside a system call: nothing is to be restarted
  return pack(registers);
}

}  // namespace

int Tracee::call(const CallRegisters& base, std::uint64_t deadline_ns, std::uint64_t number,
                 const std::array<std::uint64_t, 6>& arguments, std::int64_t& result) {
  if (int error = write(again(base, number, arguments)); error != 0) return error;
  Stop stop{.kind = Stop::event};
  // The filter's stop comes before the call, the step's after it.
  while (stop.kind == Stop::event) {
    if (int error = go_on(Until::step); error != 0) return error;
    stop = wait(deadline_ns);
  }
  if (stop.kind != Stop::step) return stop.kind == Stop::none ? ETIMEDOUT : EPROTO;
  user_regs_struct after{};
  if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &after) != 0) return errno;
  if (after.rip != base.instruction()) return EPROTO;
  result = static_cast<std::int64_t>(after.rax);
  return 0;
}

int Tracee::call_before(std::uint64_t deadline_ns, std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments, std::int64_t& result) {
  CallRegisters own;
  if (int error = read(own); error != 0) return error;
  if (int error = write(with_call(own, number, arguments)); error != 0) return error;
  if (int error = go_on(Until::call); error != 0) return error;
  Stop stop = wait(deadline_ns);
  if (stop.kind != Stop::exit) return stop.kind == Stop::none ? ETIMEDOUT : EPROTO;
  user_regs_struct after{};
  if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &after) != 0) return errno;
  result = static_cast<std::int64_t>(after.rax);
  return write(again(own, unpack(own).orig_rax, own.arguments()));
}

int Tracee::call_to_clone(const CallRegisters& base, std::uint64_t number,
                          const std::array<std::uint64_t, 6>& arguments, pid_t& made) {
  if (int error = write(again(base, number, arguments)); error != 0) return error;
  Stop stop;
  do {
    if (int error = go_on(Until::call); error != 0) return error;
    stop = wait(no_deadline_ns);
  } while (stop.kind == Stop::entry);
  if (stop.kind == Stop::exit) {  // it made none
    user_regs_struct after{};
    if (::ptrace(PTRACE_GETREGS, pid_, nullptr, &after) != 0) return errno;
    return static_cast<int>(-static_cast<std::int64_t>(after.rax));
  }
  if (stop.kind != Stop::event) return EPROTO;
  made = new_process();
  return 0;
}

int Tracee::finish_call() {
  if (int error = go_on(Until::step); error != 0) return error;
  return wait(no_deadline_ns).kind == Stop::step ? 0 : EPROTO;
}

#else

std::uint64_t CallRegisters::instruction() const { return 0; }
std::uint64_t CallRegisters::stack() const { return 0; }
std::array<std::uint64_t, 6> CallRegisters::arguments() const { return {}; }
CallRegisters with_call(const CallRegisters& base, std::uint64_t,
                        const std::array<std::uint64_t, 6>&) {
  return base;
}
int Tracee::seize(Events) { return ENOSYS; }
int Tracee::interrupt() { return ENOSYS; }
void Tracee::detach() {}
void Tracee::kill_and_reap() {}
Stop Tracee::wait(std::uint64_t) { return {.kind = Stop::ended}; }
int Tracee::go_on(Until, int) { return ENOSYS; }
pid_t Tracee::new_process() const { return -1; }
int Tracee::read(CallRegisters&) const { return ENOSYS; }
int Tracee::write(const CallRegisters&) const { return ENOSYS; }
int Tracee::call(const CallRegisters&, std::uint64_t, std::uint64_t,
                 const std::array<std::uint64_t, 6>&, std::int64_t&) {
  return ENOSYS;
}
int Tracee::call_before(std::uint64_t, std::uint64_t, const std::array<std::uint64_t, 6>&,
                        std::int64_t&) {
  return ENOSYS;
}
int Tracee::call_to_clone(const CallRegisters&, std::uint64_t, const std::array<std::uint64_t, 6>&,
                          pid_t&) {
  return ENOSYS;
}
int Tracee::finish_call() { return ENOSYS; }

#endif

}  // namespace mayfly::sandbox
