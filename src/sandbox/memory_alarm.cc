#include "sandbox/memory_alarm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <sstream>

#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

// Below the limit by so much is at the limit: the kernel hands pages out to processors in batches.
constexpr std::uint64_t slack_bytes = 128ull << 10;

std::uint64_t number_in(const std::string& path) {
  return std::strtoull(sys::read_file(path).value_or("").c_str(), nullptr, 10);
}

// The sum of the values of these keys in a flat-keyed file.
std::uint64_t sum_in(const std::string& path, std::string_view one, std::string_view other) {
  std::istringstream in(sys::read_file(path).value_or(""));
  std::uint64_t out = 0;
  std::string key;
  for (std::uint64_t value = 0; in >> key >> value;) {
    if (key == one || key == other) out += value;
  }
  return out;
}

bool tell_of(const std::string& dir, const io::Fd& alarm, const char* file, const char* more) {
  io::Fd control(::open((dir + file).c_str(), O_RDONLY | O_CLOEXEC));
  if (!control) return false;
  auto text = fmt::format("{} {}{}", alarm.get(), control.get(), more);
  return sys::write_file(dir + "/cgroup.event_control", text).has_value();
}

MemoryAlarm arm_v1(const std::string& dir) {
  io::Fd alarm(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!alarm || !tell_of(dir, alarm, "/memory.oom_control", "") ||
      !tell_of(dir, alarm, "/memory.pressure_level", " critical") ||
      !sys::write_file(dir + "/memory.oom_control", "1")) {
    return {};
  }
  return {.fd = std::move(alarm), .events = EPOLLIN};
}

MemoryAlarm arm_v2(const std::string& dir, std::uint64_t limit_bytes) {
  io::Fd alarm(::open((dir + "/memory.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!alarm || !sys::write_file(dir + "/memory.high", std::to_string(limit_bytes))) return {};
  if (!sys::write_file(dir + "/memory.max", std::to_string(limit_bytes + memory_room_bytes))) {
    (void)sys::write_file(dir + "/memory.high", "max");
    return {};
  }
  return {.fd = std::move(alarm), .events = EPOLLPRI};
}

}  // namespace

MemoryAlarm arm_memory_alarm(const ControlGroup& group, std::uint64_t limit_bytes) {
  if (limit_bytes == 0) return {};
  if (group.memory.version == 1) return arm_v1(group.memory.dir);
  if (group.memory.version == 2) return arm_v2(group.memory.dir, limit_bytes);
  return {};
}

void take_memory_alarm(const ControlGroup& group, const io::Fd& alarm) {
  std::array<char, 256> text;
  if (group.memory.version == 1) {
    [[maybe_unused]] auto got = ::read(alarm.get(), text.data(), sizeof(std::uint64_t));
  } else {
    [[maybe_unused]] auto got = ::pread(alarm.get(), text.data(), text.size(), 0);
  }
}

bool is_out_of_memory(const ControlGroup& group, std::uint64_t limit_bytes) {
  const std::string& dir = group.memory.dir;
  if (group.memory.version == 1) {
    if (sys::read_file(dir + "/memory.oom_control").value_or("").contains("under_oom 1")) {
      return true;
    }
    auto used = number_in(dir + "/memory.usage_in_bytes");
    if (used + slack_bytes < limit_bytes) return false;
    auto files = sum_in(dir + "/memory.stat", "total_inactive_file", "total_active_file");
    return used - std::min(used, files) + slack_bytes >= limit_bytes;
  }
  auto used = number_in(dir + "/memory.current");
  auto files = sum_in(dir + "/memory.stat", "inactive_file", "active_file");
  return used - std::min(used, files) >= limit_bytes;
}

int largest_process(const ControlGroup& group) {
  std::istringstream members(sys::read_file(group.memory.dir + "/cgroup.procs").value_or(""));
  int out = -1;
  std::uint64_t most = 0;
  for (int pid = 0; members >> pid;) {
    std::istringstream sizes(sys::read_file(fmt::format("/proc/{}/statm", pid)).value_or(""));
    std::uint64_t all = 0;
    std::uint64_t resident = 0;
    if (sizes >> all >> resident && resident > most) {
      most = resident;
      out = pid;
    }
  }
  return out;
}

void give_memory_room(const ControlGroup& group) {
  const std::string& dir = group.memory.dir;
  if (group.memory.version == 1) {
    auto limit = std::to_string(number_in(dir + "/memory.limit_in_bytes") + memory_room_bytes);
    // With swap it may not be less than without.
    (void)sys::write_file(dir + "/memory.memsw.limit_in_bytes", limit);
    (void)sys::write_file(dir + "/memory.limit_in_bytes", limit);
  } else if (group.memory.version == 2) {
    (void)sys::write_file(dir + "/memory.high", "max");
  }
}

void let_kernel_kill(const ControlGroup& group, std::uint64_t limit_bytes) {
  const std::string& dir = group.memory.dir;
  if (group.memory.version == 1) {
    (void)sys::write_file(dir + "/memory.oom_control", "0");
  } else if (group.memory.version == 2) {
    // The other way round nothing would hold it in between.
    (void)sys::write_file(dir + "/memory.max", std::to_string(limit_bytes));
    (void)sys::write_file(dir + "/memory.high", "max");
  }
}

}  // namespace mayfly::sandbox
