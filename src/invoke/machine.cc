#include "invoke/machine.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "base/limits.h"

namespace mayfly::invoke {
namespace {

namespace fs = std::filesystem;

// Kept free for the kernel, the server and what running calls still take: a sixteenth of the
// machine, within bounds.
constexpr std::uint64_t reserve_share = 16;
constexpr std::uint64_t reserve_min = 64 * limits::mib;
constexpr std::uint64_t reserve_max = 1024 * limits::mib;
// Tasks that wait for memory for such a share of the time: give back; start nothing.
constexpr double stalled_short = 0.1;
constexpr double stalled_out = 0.4;
// Starts, the server and its clients keep a few tasks for each processor runnable.
constexpr double runnable_per_processor = 8;
constexpr double cpu_stalled_much = 0.5;
constexpr double smoothing_seconds = 0.5;

std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // not there, or "max"
}

// "label number" lines, with or without a colon.
std::uint64_t field_in(const fs::path& path, std::string_view label) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(label)) continue;
    std::istringstream rest(line.substr(label.size()));
    std::uint64_t value = 0;
    rest >> value;
    return value;
  }
  return 0;
}

// "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345", microseconds.
std::optional<Duration> stalled_in(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    auto at = line.find("total=");
    if (!line.starts_with("some") || at == std::string::npos) continue;
    return std::chrono::microseconds(std::strtoll(line.c_str() + at + 6, nullptr, 10));
  }
  return std::nullopt;
}

// Where the accounts of our memory lie, found once.
struct OwnGroup {
  fs::path top;
  fs::path dir;  // empty: none
  bool unified = true;
};

OwnGroup find_own_group() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  OwnGroup out;
  while (std::getline(file, line)) {
    auto first = line.find(':');
    auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    bool v1 = controllers == "memory";
    if (!v1 && !controllers.empty()) continue;
    if (!v1 && !out.dir.empty()) continue;
    out.top = v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    // A container may see the whole path and have only its own part mounted.
    out.dir = out.top / fs::path(path).relative_path();
    std::error_code error;
    if (!fs::exists(out.dir, error)) out.dir = out.top;
    out.unified = !v1;
    if (v1) break;
  }
  return out;
}

// What the tightest group around us leaves; nothing where none has a limit.
std::optional<std::uint64_t> room_in_groups(const OwnGroup& own) {
  std::optional<std::uint64_t> out;
  if (own.dir.empty()) return out;
  for (fs::path dir = own.dir;; dir = dir.parent_path()) {
    auto most = number_in(dir / (own.unified ? "memory.max" : "memory.limit_in_bytes"));
    auto used = number_in(dir / (own.unified ? "memory.current" : "memory.usage_in_bytes"));
    // Version 1 writes "no limit" as a number that no machine has.
    if (most && used && *most < std::uint64_t{1} << 60) {
      auto cache =
          field_in(dir / "memory.stat", own.unified ? "inactive_file " : "total_inactive_file ");
      std::uint64_t taken = *used - std::min(*used, cache);
      out = std::min(out.value_or(std::numeric_limits<std::uint64_t>::max()),
                     *most - std::min(*most, taken));
    }
    if (dir == own.top || dir == dir.root_path()) return out;
  }
}

double share(const std::optional<Duration>& before, const std::optional<Duration>& now,
             Duration passed, double otherwise) {
  if (!before || !now || passed <= Duration::zero()) return otherwise;
  return std::clamp(
      static_cast<double>((*now - *before).count()) / static_cast<double>(passed.count()), 0.0,
      1.0);
}

}  // namespace

MachineReading read_machine() {
  static const OwnGroup own = find_own_group();
  MachineReading out;
  out.memory_total_bytes = field_in("/proc/meminfo", "MemTotal:") * limits::kib;
  out.memory_available_bytes = field_in("/proc/meminfo", "MemAvailable:") * limits::kib;
  if (auto room = room_in_groups(own)) {
    out.memory_available_bytes = std::min(out.memory_available_bytes, *room);
  }
  std::ifstream load("/proc/loadavg");  // "0.39 0.88 1.38 3/512 999"
  std::string skipped;
  double runnable = 0;
  if (load >> skipped >> skipped >> skipped >> runnable) out.runnable = runnable;
  out.cpu_stalled = stalled_in("/proc/pressure/cpu");
  out.memory_stalled = stalled_in("/proc/pressure/memory");
  if (own.unified && !own.dir.empty()) {
    if (auto stalled = stalled_in(own.dir / "memory.pressure")) out.memory_stalled = stalled;
  }
  return out;
}

void Machine::look(MonoTime now, Duration age) {
  if (!read_ || (looked_ && now - *looked_ < age)) return;
  MachineReading before = std::exchange(now_, read_());
  Duration passed = looked_ ? now - *looked_ : Duration::zero();
  bool first = !looked_;
  looked_ = now;
  promised_ = 0;
  memory_stalled_ = share(before.memory_stalled, now_.memory_stalled, passed, 0);
  cpu_stalled_ = share(before.cpu_stalled, now_.cpu_stalled, passed, 1);
  double weight =
      first ? 1 : 1 - std::exp2(-std::chrono::duration<double>(passed).count() / smoothing_seconds);
  runnable_ += weight * (now_.runnable.value_or(0) - runnable_);
  contended_ = runnable_ > runnable_per_processor * static_cast<double>(processors_) &&
               cpu_stalled_ > cpu_stalled_much;
}

std::uint64_t Machine::reserve_bytes() const {
  return std::clamp(now_.memory_total_bytes / reserve_share, reserve_min, reserve_max);
}

bool Machine::has_memory(std::uint64_t bytes) const {
  if (now_.memory_total_bytes == 0) return true;
  if (memory_stalled_ > stalled_out) return false;
  return now_.memory_available_bytes >= reserve_bytes() + promised_ + bytes;
}

std::uint64_t Machine::wanted_bytes() const {
  if (now_.memory_total_bytes == 0) return 0;
  std::uint64_t comfortable = 2 * reserve_bytes() + promised_;
  std::uint64_t missing =
      comfortable - std::min<std::uint64_t>(comfortable, now_.memory_available_bytes);
  if (memory_stalled_ > stalled_short) missing = std::max(missing, reserve_bytes() / 4);
  return missing;
}

}  // namespace mayfly::invoke
