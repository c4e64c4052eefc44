#include "sandbox/process_tree.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

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

Stats tree_stats(int root) {
  std::set<int> found = processes_below(root, no_bound);
  Stats out;
  const auto tick_ns = 1'000'000'000ull / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  for (int pid : found) {
    auto status = sys::read_file(fmt::format("/proc/{}/status", pid)).value_or("");
    out.memory_bytes += status_bytes(status, "\nVmRSS:");
    out.memory_peak_bytes += status_bytes(status, "\nVmHWM:");
    auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid)).value_or("");
    auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    // User and system time are the 12th and 13th words after the name.
    std::istringstream words(stat.substr(name_end + 1));
    std::string skipped;
    for (int i = 0; i < 11; ++i) words >> skipped;
    std::uint64_t user = 0;
    std::uint64_t system = 0;
    words >> user >> system;
    out.cpu_ns += (user + system) * tick_ns;
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
