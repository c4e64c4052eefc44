#include "sandbox/evidence.h"

#include <fmt/format.h>
#include <seccomp.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "sandbox/process_tree.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

constexpr std::size_t processes_max = 8;       // looked at
constexpr std::size_t processes_counted = 64;  // … and counted
constexpr std::size_t threads_max = 16;
constexpr std::size_t files_max = 16;
constexpr std::size_t sockets_max = 32;
constexpr std::size_t descriptors_max = 1024;

std::uint64_t hex_of(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return out;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(std::move(word));
  return out;
}

// The value of a line "Name:\tvalue" of /proc/<pid>/status.
std::string status_value(const std::string& status, std::string_view name) {
  std::string label = "\n" + std::string(name) + ":";
  auto at = status.find(label);
  if (at == status.npos) return {};
  auto from = status.find_first_not_of(" \t", at + label.size());
  return status.substr(from, status.find('\n', from) - from);
}

// Where code lies in a process, to name an address by its file.
class Places {
 public:
  explicit Places(int pid) {
    std::istringstream lines(sys::read_file(fmt::format("/proc/{}/maps", pid)).value_or(""));
    for (std::string line; std::getline(lines, line);) {
      auto words = words_of(line);
      if (words.size() < 6 || words[1].size() < 3 || words[1][2] != 'x') continue;
      auto dash = words[0].find('-');
      places_.push_back({.begin = hex_of(std::string_view(words[0]).substr(0, dash)),
                         .end = hex_of(std::string_view(words[0]).substr(dash + 1)),
                         .offset = hex_of(words[2]),
                         .file = words[5].substr(words[5].rfind('/') + 1)});
    }
  }
  std::string name(std::uint64_t address) const {
    for (const auto& place : places_) {
      if (address < place.begin || address >= place.end) continue;
      return fmt::format("{}+{:#x}", place.file, address - place.begin + place.offset);
    }
    return {};
  }

 private:
  struct Place {
    std::uint64_t begin;
    std::uint64_t end;
    std::uint64_t offset;
    std::string file;
  };
  std::vector<Place> places_;
};

std::string call_name(int number) {
  char* name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
  std::string out = name != nullptr ? std::string(name) : fmt::format("system call {}", number);
  ::free(name);
  return out;
}

int last_number(const std::string& list) {
  auto words = words_of(list);
  return words.empty() ? 0 : std::atoi(words.back().c_str());
}

ThreadEvidence look_at_thread(const std::string& dir, const Places& places) {
  ThreadEvidence out;
  auto status = "\n" + sys::read_file(dir + "/status").value_or("");
  out.id = last_number(status_value(status, "NSpid"));
  out.name = status_value(status, "Name");
  auto state = status_value(status, "State");
  if (!state.empty()) out.state = state[0];
  // "NUMBER ARGUMENTS… STACK PROGRAM", or "running".
  auto words = words_of(sys::read_file(dir + "/syscall").value_or(""));
  if (words.size() < 3) return out;
  int number = std::atoi(words[0].c_str());
  if (number >= 0) out.waits_in = call_name(number);
  out.at = places.name(hex_of(words.back()));
  return out;
}

void look_at_descriptors(const std::string& dir, ProcessEvidence& out,
                         std::set<std::string>& sockets) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir + "/fd", error)) {
    if (++out.descriptors > descriptors_max) return;
    std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) {
      sockets.insert(target.substr(8, target.size() - 9));
    } else if (target.starts_with('/') && !target.starts_with("/dev/") &&
               out.files.size() < files_max) {
      out.files.push_back(std::move(target));
    }
  }
}

ProcessEvidence look_at_process(int pid, std::set<std::string>& sockets) {
  ProcessEvidence out;
  out.host_pid = pid;
  std::string dir = fmt::format("/proc/{}", pid);
  auto status = "\n" + sys::read_file(dir + "/status").value_or("");
  out.id = last_number(status_value(status, "NSpid"));
  out.command = status_value(status, "Name");
  out.resident_bytes = std::strtoull(status_value(status, "VmRSS").c_str(), nullptr, 10) * 1024;
  out.caught_signals = hex_of(status_value(status, "SigCgt"));
  look_at_descriptors(dir, out, sockets);
  Places places(pid);
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(dir + "/task", error)) {
    ++out.threads_in_all;
    if (out.threads.size() < threads_max) {
      out.threads.push_back(look_at_thread(task.path().string(), places));
    }
  }
  return out;
}

// "0100007F:1F90": each word of the address in the machine's order, the port in big endian.
std::string address_of(const std::string& text) {
  auto colon = text.find(':');
  std::string host = text.substr(0, colon);
  auto port = hex_of(std::string_view(text).substr(colon + 1));
  auto byte = [&host](std::size_t word, std::size_t index) {
    return hex_of(std::string_view(host).substr(8 * word + 6 - 2 * index, 2));
  };
  if (host.size() == 8) {
    return fmt::format("{}.{}.{}.{}:{}", byte(0, 0), byte(0, 1), byte(0, 2), byte(0, 3), port);
  }
  std::string out = "[";
  for (std::size_t word = 0; word < 4 && host.size() == 32; ++word) {
    for (std::size_t half = 0; half < 2; ++half) {
      out += fmt::format("{}{:x}", word + half == 0 ? "" : ":",
                         byte(word, 2 * half) << 8 | byte(word, 2 * half + 1));
    }
  }
  return fmt::format("{}]:{}", out, port);
}

std::string_view tcp_state(std::uint64_t state) {
  constexpr std::string_view names[] = {"",           "established", "syn sent",  "syn received",
                                        "fin wait",   "fin wait",    "time wait", "close",
                                        "close wait", "last ack",    "listening", "closing"};
  return state < std::size(names) ? names[state] : "";
}

// Of the jail's network, those that its processes hold.
void look_at_sockets(int pid, const std::set<std::string>& held, std::vector<std::string>& out) {
  for (std::string protocol : {"tcp", "tcp6", "udp", "udp6"}) {
    std::istringstream lines(
        sys::read_file(fmt::format("/proc/{}/net/{}", pid, protocol)).value_or(""));
    for (std::string line; std::getline(lines, line);) {
      auto words = words_of(line);
      if (words.size() < 10 || !held.contains(words[9])) continue;
      if (out.size() == sockets_max) return;
      bool tcp = protocol.starts_with("tcp");
      auto queues = words[4].find(':');
      auto unsent = hex_of(std::string_view(words[4]).substr(0, queues));
      auto unread = hex_of(std::string_view(words[4]).substr(queues + 1));
      bool listening = tcp && words[3] == "0A";
      std::string text = fmt::format("{} {}", protocol, address_of(words[1]));
      if (!listening) text += " to " + address_of(words[2]);
      if (tcp) text += fmt::format(" {}", tcp_state(hex_of(words[3])));
      if (unsent > 0 && !listening) text += fmt::format(", {} bytes unsent", unsent);
      if (unread > 0 && !listening) text += fmt::format(", {} bytes unread", unread);
      out.push_back(std::move(text));
    }
  }
}

}  // namespace

Evidence gather_evidence(int init) {
  Evidence out;
  if (init <= 1) return out;
  std::set<std::string> sockets;
  for (int pid : processes_below(init, processes_counted)) {
    ++out.processes_in_all;
    if (out.processes.size() == processes_max) continue;
    out.processes.push_back(look_at_process(pid, sockets));
  }
  if (!out.processes.empty()) {
    look_at_sockets(out.processes.front().host_pid, sockets, out.sockets);
  }
  return out;
}

int ask_for_stacks(const Evidence& evidence) {
  int asked = 0;
  for (const auto& process : evidence.processes) {
    int number = process.catches(stacks_signal) ? stacks_signal
                 : process.catches(SIGQUIT)     ? SIGQUIT
                                                : 0;
    if (number != 0 && ::kill(process.host_pid, number) == 0) ++asked;
  }
  return asked;
}

}  // namespace mayfly::sandbox
