// One traced thread: stops, and system calls put into it. x86-64 only; elsewhere every call answers
// ENOSYS, and nothing is forked.
//
// Caller: the template's init, single-threaded, with every signal blocked.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace mayfly::sandbox {

// The registers a system call is made with.
struct CallRegisters {
  std::array<std::uint64_t, 32> words{};  // user_regs_struct
  std::uint64_t instruction() const;      // address behind the system call instruction
  std::uint64_t stack() const;
  std::array<std::uint64_t, 6> arguments() const;
};

// What stopped it.
struct Stop {
  enum Kind { none, event, entry, exit, step, signal, ended };
  Kind kind = none;
  int event_number = 0;                      // PTRACE_EVENT_*
  int signal_number = 0;                     // Kind::signal: to be handed on
  int wait_status = 0;                       // Kind::ended: it has been reaped
  std::uint64_t call_number = 0;             // Kind::entry
  std::array<std::uint64_t, 6> arguments{};  // Kind::entry
};

class Tracee {
 public:
  explicit Tracee(pid_t pid) : pid_(pid) {}
  pid_t pid() const { return pid_; }

  // What it stops at beside system calls, signals and the end.
  enum class Events { new_processes, exec };
  // 0 or an errno. Afterwards it runs on, traced; with Events::exec it ends with its tracer.
  int seize(Events events = Events::new_processes);
  int interrupt();
  void detach();
  void kill_and_reap();

  // Waits for its next stop, until `deadline_ns` of the monotonic clock; kind none: it passed.
  Stop wait(std::uint64_t deadline_ns);
  enum class Until { call, step, event };
  int go_on(Until until, int signal = 0);
  pid_t new_process() const;  // of the event it stopped at

  int read(CallRegisters& out) const;
  int write(const CallRegisters& registers) const;
  // Makes the stopped tracee do one system call with the instruction of `base`. `result` as the
  // kernel returns it: negative is an errno. Answers 0, or an errno of the tracing itself.
  int call(const CallRegisters& base, std::uint64_t deadline_ns, std::uint64_t number,
           const std::array<std::uint64_t, 6>& arguments, std::int64_t& result);
  // The same for a call that makes a process; `made` begins stopped, and so does the tracee stop:
  // inside the call, of which finish_call() is the end.
  int call_to_clone(const CallRegisters& base, std::uint64_t number,
                    const std::array<std::uint64_t, 6>& arguments, pid_t& made);
  int finish_call();
  // Of a tracee at the entry of a system call: it does another one first, and then stands before
  // its own again. The call must be one that nothing refuses or interrupts.
  int call_before(std::uint64_t deadline_ns, std::uint64_t number,
                  const std::array<std::uint64_t, 6>& arguments, std::int64_t& result);

 private:
  pid_t pid_;
};

// Of what executes nothing but calls that do not wait.
inline constexpr std::uint64_t no_deadline_ns = ~0ull;

// What `registers` become for another system call.
CallRegisters with_call(const CallRegisters& base, std::uint64_t number,
                        const std::array<std::uint64_t, 6>& arguments);
std::uint64_t monotonic_ns();

}  // namespace mayfly::sandbox
