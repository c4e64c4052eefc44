#include "sandbox/process_tree.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

constexpr std::size_t no_bound = SIZE_MAX;

void collect(int pid, std::set<int>& out, std::size_t most = no_bound) {
  std::error_code ignored;
  auto tasks = fmt::format("/proc/{}/task", pid);
  for (const auto& task : std::filesystem::directory_iterator(tasks, ignored)) {
    std::istringstream children(sys::read_file(task.path().string() + "/children").value_or(""));
    for (int child = 0; children >> child;) {
      if (out.size() >= most) return;
      if (out.insert(child).second) collect(child, out, most);
    }
  }
}

// A line "Name:   123 kB" of /proc/<pid>/status, in bytes.
std::uint64_t status_bytes(const std::string& status, std::string_view name) {
  auto at = status.find(name);
  if (at == std::string::npos) return 0;
  return 1024 * std::strtoull(status.c_str() + at + name.size(), nullptr, 10);
}

}  // namespace

std::set<int> processes_below(int root, std::size_t most) {
  std::set<int> found;
  collect(root, found, most);
  return found;
}

namespace {

// What the scheduler counted for the threads that live, in nanoseconds.
std::uint64_t scheduled_ns(int pid) {
  std::uint64_t sum = 0;
  std::error_code error;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    auto text = sys::read_file(task.path().string() + "/schedstat").value_or("");
    sum += std::strtoull(text.c_str(), nullptr, 10);
  }
  return sum;
}

// Of /proc/<pid>/stat: faults, and processor time in ticks with that of threads that have ended.
void add_times(int pid, Stats& out) {
  static const auto tick_ns = 1'000'000'000ull / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid)).value_or("");
  auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream words(stat.substr(name_end + 1));
  std::array<std::string, 13> word;  // from the process's state on
  for (auto& one : word) words >> one;
  auto number = [&](std::size_t at) { return std::strtoull(word[at].c_str(), nullptr, 10); };
  constexpr std::size_t minor_faults = 7;
  constexpr std::size_t major_faults = 9;
  constexpr std::size_t user = 11;
  constexpr std::size_t system = 12;
  out.page_faults += number(minor_faults) + number(major_faults);
  out.cpu_ns +=
      std::max<std::uint64_t>((number(user) + number(system)) * tick_ns, scheduled_ns(pid));
}

}  // namespace

Stats tree_stats(int root) {
  Stats out{.by_processes = true};
  for (int pid : processes_below(root, no_bound)) {
    auto status = sys::read_file(fmt::format("/proc/{}/status", pid)).value_or("");
    out.memory_bytes += status_bytes(status, "\nVmRSS:");
    out.memory_peak_bytes += status_bytes(status, "\nVmHWM:");
    add_times(pid, out);
  }
  return out;
}

void signal_tree(int root, int number) {
  std::set<int> done;
  // A process that forks while we read has its child found in the next round; a stopped one
  // cannot fork, so the rounds end.
  for (int round = 0; round < 16; ++round) {
    std::set<int> found;
    collect(root, found);
    bool grew = false;
    for (int pid : found) {
      if (!done.insert(pid).second) continue;
      ::kill(pid, number);
      grew = true;
    }
    if (!grew) return;
  }
}

}  // namespace mayfly::sandbox
