// Evidence: what the processes of a jail are doing at this moment, as /proc tells it from outside,
// so that it holds for any program. Called by the server; takes about a millisecond and is bounded,
// whatever the jail has started. No state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mayfly::sandbox {

// The signal at which our bootstraps write the stacks of their threads to standard error, even in a
// busy loop (runtimes/). Of the real-time ones, which no runtime uses for itself.
inline constexpr int stacks_signal = 50;

struct ThreadEvidence {
  int id = 0;  // as the jail numbers it
  std::string name;
  char state = '?';      // as in /proc/PID/stat: R running, S asleep, D in the kernel, T stopped
  std::string waits_in;  // the system call; empty: none, or not to be seen
  std::string at;        // "libc.so.6+0x10a2b": where the program stands in it
};

struct ProcessEvidence {
  int host_pid = 0;
  int id = 0;  // as the jail numbers it
  std::string command;
  std::uint64_t resident_bytes = 0;
  std::size_t descriptors = 0;
  std::vector<std::string> files;  // that lie open: paths, without pipes and sockets
  std::vector<ThreadEvidence> threads;
  std::size_t threads_in_all = 0;
  std::uint64_t caught_signals = 0;  // bit N-1: has a handler for signal N

  bool catches(int signal) const { return (caught_signals >> (signal - 1) & 1) != 0; }
};

struct Evidence {
  std::vector<ProcessEvidence> processes;  // without the jail's own init
  std::size_t processes_in_all = 0;        // 64: or more
  std::vector<std::string> sockets;        // "tcp 127.0.0.1:40312 to 127.0.0.1:4566 established"
};

// Of all below `init` (host's number of the jail's init).
Evidence gather_evidence(int init);

// Asks each process that has a handler for it to write its stacks: ours by stacks_signal, a JVM or
// a Go program by SIGQUIT. Answers how many were asked.
int ask_for_stacks(const Evidence& evidence);

}  // namespace mayfly::sandbox
