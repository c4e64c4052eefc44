#include "sandbox/control_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <sstream>

#include "base/log.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

constexpr std::string_view dir_prefix = "mayfly-";
constexpr std::string_view server_leaf = "/server-of-mayfly";
constexpr std::uint64_t cpu_period_us = 100'000;

std::vector<std::string> words_of(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(std::move(word));
  return out;
}

// The number that `text` is, or in a flat-keyed file the one of a line "<key> <number>".
std::uint64_t number_of(std::string_view text, std::string_view key = {}) {
  if (!key.empty()) {
    std::string label = std::string(key) + ' ';  // not of another key that begins like it
    std::size_t at = text.starts_with(label) ? 0 : text.find('\n' + label);
    if (at == text.npos) return 0;
    text.remove_prefix(text.find(' ', at) + 1);
  }
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t number_in(const std::string& path, std::string_view key = {}) {
  return number_of(sys::read_file(path).value_or(""), key);
}

// Controller → our own group's directory, from the mounts and /proc/self/cgroup. "" is cgroup v2.
std::map<std::string, std::string> own_groups() {
  std::map<std::string, std::string> mounts;
  std::istringstream mount_lines(sys::read_file("/proc/self/mounts").value_or(""));
  for (std::string line; std::getline(mount_lines, line);) {
    auto words = words_of(line);
    if (words.size() < 4) continue;
    if (words[2] == "cgroup2") mounts.emplace("", words[1]);
    if (words[2] != "cgroup") continue;
    std::replace(words[3].begin(), words[3].end(), ',', ' ');
    for (const auto& option : words_of(words[3])) mounts.emplace(option, words[1]);
  }
  std::map<std::string, std::string> out;
  std::istringstream group_lines(sys::read_file("/proc/self/cgroup").value_or(""));
  for (std::string line; std::getline(group_lines, line);) {
    auto first = line.find(':');
    auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    std::replace(controllers.begin(), controllers.end(), ',', ' ');
    auto names = words_of(controllers);
    if (controllers.empty()) names.emplace_back("");
    for (const auto& name : names) {
      auto mount = mounts.find(name);
      if (mount == mounts.end()) continue;
      std::string dir = mount->second + path;
      // In a container the path may be relative to a root that is not the mount's.
      out[name] = ::access(dir.c_str(), F_OK) == 0 ? dir : mount->second;
    }
  }
  return out;
}

void kill_members(const std::string& dir) {
  if (sys::write_file(dir + "/cgroup.kill", "1")) return;
  auto text = sys::read_file(dir + "/cgroup.procs");
  if (!text) return;
  for (const auto& word : words_of(*text)) {
    int pid = std::atoi(word.c_str());
    if (pid > 1) ::kill(pid, SIGKILL);
  }
}

void remove_tree(const std::string& dir) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(dir, ignored)) {
    if (entry.is_directory(ignored)) remove_tree(entry.path());
  }
  if (::rmdir(dir.c_str()) == 0 || errno != EBUSY) return;
  kill_members(dir);
  for (int attempt = 0; attempt < 50 && ::rmdir(dir.c_str()) != 0 && errno == EBUSY; ++attempt) {
    ::usleep(1000);  // the kernel has no event for "the last member is gone" on v1
  }
}

void sweep(const std::string& parent) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
    std::string name = entry.path().filename();
    if (!name.starts_with(dir_prefix)) continue;
    std::string_view stamp = std::string_view(name).substr(dir_prefix.size());
    bool is_stamp = stamp.find('.') != std::string_view::npos &&
                    stamp.find_first_not_of("0123456789.") == std::string_view::npos;
    if (is_stamp && !stamp_is_alive(stamp)) remove_tree(entry.path());
  }
}

std::string make_dir(const std::string& dir) {
  if (::mkdir(dir.c_str(), 0755) == 0 || errno == EEXIST) return "";
  return fmt::format("cannot make {}: {}", dir, std::strerror(errno));
}

ControllerPlace open_v1(const std::map<std::string, std::string>& own, const char* controller,
                        const std::string& name) {
  auto found = own.find(controller);
  if (found == own.end()) {
    return {.why_not = fmt::format("no cgroup hierarchy with the controller '{}'", controller)};
  }
  sweep(found->second);
  std::string dir = found->second + "/" + name;
  if (auto problem = make_dir(dir); !problem.empty()) return {.why_not = problem};
  return {.version = 1, .dir = dir};
}

std::vector<std::string> members_of(const std::string& dir) {
  return words_of(sys::read_file(dir + "/cgroup.procs").value_or(""));
}

bool has(const std::vector<std::string>& list, std::string_view what) {
  return std::ranges::find(list, what) != list.end();
}

// Enables controllers for our directory in the v2 hierarchy; answers those that are enabled.
std::vector<std::string> enable_v2(const std::string& parent, const std::string& dir,
                                   const std::vector<std::string>& offered, std::string& why_not) {
  std::vector<std::string> out;
  for (const auto& controller : offered) {
    std::string enable = "+" + controller;
    auto enabled = words_of(sys::read_file(parent + "/cgroup.subtree_control").value_or(""));
    if (!has(enabled, controller)) {
      if (auto done = sys::write_file(parent + "/cgroup.subtree_control", enable); !done) {
        why_not = done.error().message;
        continue;
      }
    }
    if (auto done = sys::write_file(dir + "/cgroup.subtree_control", enable); !done) {
      why_not = done.error().message;
      continue;
    }
    out.push_back(controller);
  }
  return out;
}

// A group with members cannot have controllers enabled for its children (except the root): when
// nobody but the server and its launcher lives in ours, both move into a leaf of it. Answers why
// there are members. With those the kernel would still enable what counts threads, and from then on
// let no process into any group below.
std::string make_room_v2(const std::string& own, Room room) {
  if (::access((own + "/cgroup.type").c_str(), F_OK) != 0) return "";  // the root has no type
  auto members = members_of(own);
  std::string us = std::to_string(::getpid());
  std::string server = room == Room::make ? std::to_string(::getppid()) : us;
  if (!std::ranges::all_of(members, [&](const auto& pid) { return pid == us || pid == server; })) {
    return fmt::format("other processes live in {}", own);
  }
  if (members.empty() || room == Room::look) return "";
  std::string leaf = own + std::string(server_leaf);
  if (auto problem = make_dir(leaf); !problem.empty()) return problem;
  for (const auto& pid : members) {
    if (auto moved = sys::write_file(leaf + "/cgroup.procs", pid); !moved) {
      return moved.error().message;
    }
  }
  return "";
}

// What enable_v2() will answer when the launcher has made room.
std::vector<std::string> promised_v2(const std::string& own,
                                     const std::vector<std::string>& offered,
                                     std::string& why_not) {
  for (const char* file : {"/cgroup.procs", "/cgroup.subtree_control"}) {
    if (::access((own + file).c_str(), W_OK) == 0) continue;
    why_not = fmt::format("{}{}: {}", own, file, std::strerror(errno));
    return {};
  }
  return offered;
}

void open_v2(std::string own, const std::string& name, Room room, ControlGroup& out) {
  // A server's launcher before this one has made room.
  if (own.ends_with(server_leaf)) own.resize(own.size() - server_leaf.size());
  sweep(own);
  std::string dir = own + "/" + name;
  std::string problem = make_dir(dir);
  std::vector<std::string> enabled;
  bool takes_processes = problem.empty();
  if (problem.empty()) {
    auto offered = words_of(sys::read_file(own + "/cgroup.controllers").value_or(""));
    std::erase_if(offered,
                  [](const auto& c) { return c != "memory" && c != "cpu" && c != "pids"; });
    if (!offered.empty()) problem = make_room_v2(own, room);
    if (problem.empty()) {
      enabled = room == Room::look && !members_of(own).empty()
                    ? promised_v2(own, offered, problem)
                    : enable_v2(own, dir, offered, problem);
    }
    takes_processes = !sys::read_file(dir + "/cgroup.type").value_or("").contains("invalid");
  }
  if (takes_processes) {
    if (::access((dir + "/cgroup.freeze").c_str(), W_OK) == 0) out.freezer = {2, dir, ""};
    if (::access((dir + "/cpu.stat").c_str(), R_OK) == 0) out.accounting = {2, dir, ""};
  }
  for (auto [place, controller] : {std::pair(&out.memory, "memory"), std::pair(&out.cpu, "cpu"),
                                   std::pair(&out.processes, "pids")}) {
    if (has(enabled, controller)) *place = {2, dir, ""};
    if (place->version == 0 && !problem.empty()) place->why_not = problem;
  }
}

std::vector<std::string> directories(const ControlGroup& group, int version) {
  std::vector<std::string> out;
  for (const auto* place :
       {&group.memory, &group.cpu, &group.processes, &group.freezer, &group.accounting}) {
    if (place->version != version) continue;
    if (std::ranges::find(out, place->dir) == out.end()) out.push_back(place->dir);
  }
  return out;
}

}  // namespace

std::string process_stamp(int pid) {
  auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid));
  if (!stat) return "";
  // The name in parentheses may hold spaces; the start time is the 20th word after it.
  auto end = stat->rfind(')');
  if (end == std::string::npos) return "";
  auto words = words_of(std::string_view(*stat).substr(end + 1));
  if (words.size() < 20 || words[0] == "Z") return "";
  return fmt::format("{}.{}", pid, words[19]);
}

bool stamp_is_alive(std::string_view stamp) {
  return process_stamp(std::atoi(std::string(stamp).c_str())) == stamp;
}

ControlGroup open_control_groups(Room room) {
  auto own = own_groups();
  std::string name = std::string(dir_prefix) + process_stamp(::getpid());
  ControlGroup out;
  auto unified = own.find("");
  if (unified != own.end()) open_v2(unified->second, name, room, out);
  // A v2 hierarchy without controllers can freeze and count all the same, but joining it costs more
  // than a v1 one does (JoinDescriptors).
  bool v2_limits = out.memory.version + out.cpu.version + out.processes.version > 0;
  for (auto [place, controller] :
       {std::pair(&out.memory, "memory"), std::pair(&out.cpu, "cpu"),
        std::pair(&out.processes, "pids"), std::pair(&out.freezer, "freezer"),
        std::pair(&out.accounting, "cpuacct")}) {
    if (place->version != 0 && v2_limits) continue;
    auto v1 = open_v1(own, controller, name);
    if (v1.version != 0 || (place->version == 0 && place->why_not.empty())) *place = v1;
  }
  if (unified != own.end() && directories(out, 2).empty()) {
    ::rmdir((unified->second + "/" + name).c_str());
  }
  return out;
}

void close_control_groups(const ControlGroup& base) {
  for (int version : {1, 2}) {
    for (const auto& dir : directories(base, version)) remove_tree(dir);
  }
}

Result<ControlGroup> make_control_group(const ControlGroup& base, const std::string& name) {
  ControlGroup out = base;
  for (auto* place : {&out.memory, &out.cpu, &out.processes, &out.freezer, &out.accounting}) {
    if (place->version == 0) continue;
    place->dir += "/" + name;
    if (auto problem = make_dir(place->dir); !problem.empty()) {
      return fail(ErrorKind::unavailable, problem);
    }
  }
  return out;
}

Result<> set_cpu_share(const ControlGroup& group, std::uint32_t millis) {
  if (group.cpu.version == 0) return {};
  auto quota = std::to_string(std::max<std::uint64_t>(1000, millis * cpu_period_us / 1000));
  if (group.cpu.version == 2) {
    if (millis == 0) quota = "max";
    return sys::write_file(group.cpu.dir + "/cpu.max", fmt::format("{} {}", quota, cpu_period_us));
  }
  if (millis == 0) quota = "-1";
  return sys::write_file(group.cpu.dir + "/cpu.cfs_quota_us", quota);
}

void set_cpu_weight(const ControlGroup& group, std::uint32_t per_mille) {
  // What groups begin with; version 2 counts to 100, and both have a least value.
  std::uint64_t shares = std::max<std::uint64_t>(2, 1024ull * per_mille / 1000);
  std::uint64_t weight = std::max<std::uint64_t>(1, 100ull * per_mille / 1000);
  if (group.cpu.version == 2) {
    (void)sys::write_file(group.cpu.dir + "/cpu.weight", std::to_string(weight));
  } else if (group.cpu.version == 1) {
    (void)sys::write_file(group.cpu.dir + "/cpu.shares", std::to_string(shares));
  }
}

void let_die(const ControlGroup& group) {
  set_cpu_weight(group, 1000);  // the group may be used again
  // A group that is gone already needs neither.
  if (group.cpu.version == 2) (void)sys::write_file(group.cpu.dir + "/cpu.max", "max");
  if (group.cpu.version == 1) (void)sys::write_file(group.cpu.dir + "/cpu.cfs_quota_us", "-1");
  if (group.freezer.version == 1) set_frozen(group, false);
}

Result<> set_limits(const ControlGroup& group, const Limits& limits) {
  const std::string& memory = group.memory.dir;
  std::string bytes = std::to_string(limits.memory_bytes);
  if (group.memory.version == 2) {
    TRY(sys::write_file(memory + "/memory.max", limits.memory_bytes == 0 ? "max" : bytes));
    // No swap: a function's memory limit is of real memory. Absent when the kernel has no swap.
    (void)sys::write_file(memory + "/memory.swap.max", "0");
    (void)sys::write_file(memory + "/memory.oom.group", "1");
  } else if (group.memory.version == 1) {
    if (limits.memory_bytes == 0) bytes = "-1";
    // With swap it may never be less than without: first when it rises, last when it falls.
    (void)sys::write_file(memory + "/memory.memsw.limit_in_bytes", bytes);
    TRY(sys::write_file(memory + "/memory.limit_in_bytes", bytes));
    (void)sys::write_file(memory + "/memory.memsw.limit_in_bytes", bytes);
  }
  TRY(set_cpu_share(group, limits.cpu_millis));
  if (group.processes.version == 0) return {};
  // One more than the caller's: our init is the jail's first process.
  auto processes = limits.processes == 0 ? "max" : std::to_string(limits.processes + 1);
  return sys::write_file(group.processes.dir + "/pids.max", processes);
}

void remove_control_group(const ControlGroup& group) {
  for (int version : {1, 2}) {
    for (const auto& dir : directories(group, version)) remove_tree(dir);
  }
}

Result<JoinDescriptors> open_to_join(const ControlGroup& group) {
  JoinDescriptors out;
  for (const auto& dir : directories(group, 2)) {
    out.unified = io::Fd(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!out.unified) return fail_errno(dir, errno);
  }
  for (const auto& dir : directories(group, 1)) {
    out.tasks.emplace_back(::open((dir + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
    if (!out.tasks.back()) return fail_errno(dir, errno);
  }
  return out;
}

namespace {

// Where the accounts of a group are: memory, its peak, page faults, processor time.
struct Account {
  std::string path;  // empty: nobody counts
  std::string_view key{};
};
using Accounts = std::array<Account, account_files>;

Accounts accounts_of(const ControlGroup& group) {
  const auto& memory = group.memory.dir;
  const auto& cpu = group.accounting.dir;
  Accounts out;
  if (group.memory.version == 2) {
    out[0] = {memory + "/memory.current"};
    out[1] = {memory + "/memory.peak"};
  } else if (group.memory.version == 1) {
    out[0] = {memory + "/memory.usage_in_bytes"};
    out[1] = {memory + "/memory.max_usage_in_bytes"};
  }
  if (group.memory.version != 0) out[2] = {memory + "/memory.stat", "pgfault"};
  if (group.accounting.version == 2) out[3] = {cpu + "/cpu.stat", "usage_usec"};
  if (group.accounting.version == 1) out[3] = {cpu + "/cpuacct.usage"};
  return out;
}

// `text` answers what is in the file of that index.
template <class Text>
Stats add_up(const ControlGroup& group, const Accounts& accounts, Text text) {
  std::array<std::uint64_t, account_files> numbers{};
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    if (!accounts[i].path.empty()) numbers[i] = number_of(text(i), accounts[i].key);
  }
  Stats out;
  out.memory_bytes = numbers[0];
  out.memory_peak_bytes = std::max(numbers[1], numbers[0]);
  out.page_faults = numbers[2];
  out.cpu_ns = (group.accounting.version == 2 ? 1000 : 1) * numbers[3];
  return out;
}

std::string read_again(int fd) {
  std::string out(4096, '\0');
  ssize_t got = ::pread(fd, out.data(), out.size(), 0);
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
  return out;
}

}  // namespace

Stats read_stats(const ControlGroup& group) {
  auto accounts = accounts_of(group);
  return add_up(group, accounts,
                [&](std::size_t i) { return sys::read_file(accounts[i].path).value_or(""); });
}

std::vector<io::Fd> open_accounts(const ControlGroup& group) {
  std::vector<io::Fd> out;
  for (const auto& account : accounts_of(group)) {
    if (account.path.empty()) return {};
    out.emplace_back(::open(account.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!out.back()) return {};
  }
  return out;
}

Stats read_stats(const ControlGroup& group, const std::vector<io::Fd>& open) {
  return add_up(group, accounts_of(group),
                [&](std::size_t i) { return read_again(open[i].get()); });
}

bool killed_for_memory(const ControlGroup& group) {
  if (group.memory.version == 2) {
    return number_in(group.memory.dir + "/memory.events", "oom_kill") != 0;
  }
  if (group.memory.version == 1) {
    return number_in(group.memory.dir + "/memory.oom_control", "oom_kill") != 0;
  }
  return false;
}

bool set_frozen(const ControlGroup& group, bool frozen) {
  if (group.freezer.version == 2) {
    return sys::write_file(group.freezer.dir + "/cgroup.freeze", frozen ? "1" : "0").has_value();
  }
  if (group.freezer.version == 1) {
    return sys::write_file(group.freezer.dir + "/freezer.state", frozen ? "FROZEN" : "THAWED")
        .has_value();
  }
  return false;
}

}  // namespace mayfly::sandbox
