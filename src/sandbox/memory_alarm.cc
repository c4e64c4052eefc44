#include "sandbox/memory_alarm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

// v1: without files, below the limit by so much is at the limit. The kernel hands pages out to
// processors in batches, and counts files behind the rest.
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

}  // namespace

io::Fd arm_memory_alarm(const ControlGroup& group, std::uint64_t limit_bytes) {
  if (limit_bytes == 0 || group.memory.version != 2) return {};
  const std::string& dir = group.memory.dir;
  io::Fd alarm(::open((dir + "/memory.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!alarm || !sys::write_file(dir + "/memory.high", std::to_string(limit_bytes))) return {};
  if (!sys::write_file(dir + "/memory.max", std::to_string(limit_bytes + memory_room_bytes))) {
    (void)sys::write_file(dir + "/memory.high", "max");
    return {};
  }
  return alarm;
}

void take_memory_alarm(const ControlGroup& group, const io::Fd& alarm) {
  std::array<char, 256> text;
  if (group.memory.version == 1) {
    [[maybe_unused]] auto got = ::read(alarm.get(), text.data(), sizeof(std::uint64_t));
  } else {
    [[maybe_unused]] auto got = ::pread(alarm.get(), text.data(), text.size(), 0);
  }
}

MemoryUse memory_use(const ControlGroup& group) {
  const std::string& dir = group.memory.dir;
  if (group.memory.version == 1) {
    return {number_in(dir + "/memory.usage_in_bytes"),
            sum_in(dir + "/memory.stat", "total_inactive_file", "total_active_file")};
  }
  return {number_in(dir + "/memory.current"),
          sum_in(dir + "/memory.stat", "inactive_file", "active_file")};
}

bool is_out_of_memory(const ControlGroup& group, std::uint64_t limit_bytes) {
  auto use = memory_use(group);
  if (use.bytes < limit_bytes) return false;
  std::uint64_t slack = group.memory.version == 1 ? slack_bytes : 0;
  return use.bytes - std::min(use.bytes, use.files) + slack >= limit_bytes;
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
  if (group.memory.version != 2) return;
  // The other way round nothing would hold it in between.
  (void)sys::write_file(group.memory.dir + "/memory.max", std::to_string(limit_bytes));
  (void)sys::write_file(group.memory.dir + "/memory.high", "max");
}

}  // namespace mayfly::sandbox
