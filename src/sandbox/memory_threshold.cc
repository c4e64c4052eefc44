#include "sandbox/memory_threshold.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t page_bytes = 4096;
constexpr suseconds_t reclaim_us = 5000;
// Pages that are being read cannot be dropped at that moment. There is no event for later.
constexpr useconds_t pause_us = 1000;
constexpr auto reclaim_time = std::chrono::milliseconds(50);

ControlGroup group_of(const std::string& dir) {
  ControlGroup out;
  out.memory = {1, dir, ""};
  return out;
}

bool set_hard(const std::string& dir, std::uint64_t bytes) {
  return sys::write_file(dir + "/memory.limit_in_bytes", std::to_string(bytes)).has_value();
}

// With swap the limit may not be less than without. Absent where the kernel has no swap.
void set_hard_with_swap(const std::string& dir, std::uint64_t bytes) {
  (void)sys::write_file(dir + "/memory.memsw.limit_in_bytes", std::to_string(bytes));
}

bool is_member(const std::string& dir, int pid) {
  std::istringstream members(sys::read_file(dir + "/cgroup.procs").value_or(""));
  for (int member = 0; members >> member;) {
    if (member == pid) return true;
  }
  return false;
}

// The number may be another process's by now: what is opened is looked at once more.
io::Fd open_largest(const std::string& dir) {
  int pid = largest_process(group_of(dir));
  if (pid <= 0) return {};
  io::Fd out(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (out && !is_member(dir, pid)) out.reset();
  return out;
}

// The kernel takes no limit below what is used, and drops what it can before it says so. So it is
// one that cannot be: the true limit lowered for a moment would be the end of a process that grows
// in that moment. It goes on while there is something to drop, and who reads files brings more:
// hence the timer, each of whose signals ends the call.
void reclaim(const std::string& dir) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &action, nullptr);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  itimerval every{{0, reclaim_us}, {0, reclaim_us}};
  ::setitimer(ITIMER_REAL, &every, nullptr);
  bool taken = set_hard(dir, page_bytes);
  itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  if (taken) return;  // nobody is in it any more
  ::usleep(pause_us);
}

}  // namespace

bool arm_threshold(const std::string& dir, std::uint64_t limit_bytes, int eventfd) {
  io::Fd usage(::open((dir + "/memory.usage_in_bytes").c_str(), O_RDONLY | O_CLOEXEC));
  if (!usage) return false;
  auto text = fmt::format("{} {} {}", eventfd, usage.get(), limit_bytes);
  if (!sys::write_file(dir + "/cgroup.event_control", text)) return false;
  // What a squeeze is to drop are files.
  (void)sys::write_file(dir + "/memory.swappiness", "0");
  set_hard_with_swap(dir, limit_bytes + memory_room_bytes);
  if (set_hard(dir, limit_bytes + memory_room_bytes)) return true;
  set_hard_with_swap(dir, limit_bytes);
  return false;
}

bool squeeze(const std::string& dir, std::uint64_t limit_bytes) {
  auto group = group_of(dir);
  auto until = Clock::now() + reclaim_time;
  while (!is_out_of_memory(group, limit_bytes)) {
    if (memory_use(group).bytes < limit_bytes || Clock::now() >= until) return true;
    reclaim(dir);
  }
  return false;
}

bool lower_limit(const std::string& dir, std::uint64_t limit_bytes) {
  auto group = group_of(dir);
  auto until = Clock::now() + reclaim_time;
  while (!set_hard(dir, limit_bytes)) {
    if (is_out_of_memory(group, limit_bytes) || Clock::now() >= until) return false;
    ::usleep(pause_us);
  }
  set_hard_with_swap(dir, limit_bytes);
  return true;
}

bool kill_until_lowered(const std::string& dir, std::uint64_t limit_bytes,
                        std::chrono::milliseconds time) {
  auto until = Clock::now() + time;
  while (!lower_limit(dir, limit_bytes)) {
    io::Fd largest = open_largest(dir);
    if (!largest || sys::pidfd_send_signal(largest.get(), SIGKILL) != 0) return false;
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd ended{.fd = largest.get(), .events = POLLIN, .revents = 0};
    // One that is frozen does not end.
    if (left.count() <= 0 || ::poll(&ended, 1, static_cast<int>(left.count())) <= 0) return false;
  }
  return true;
}

}  // namespace mayfly::sandbox
