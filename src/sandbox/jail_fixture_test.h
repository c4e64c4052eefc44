// Test only: starts programs in real jails and collects what they print.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "sandbox/launcher_process.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox::testing {

struct Run {
  Exit exit;
  std::string output;
  Stats stats;
};

inline io::Task<std::string> read_all(io::Loop& loop, io::Fd fd, Deadline deadline) {
  std::string out;
  io::Stream stream(loop, std::move(fd));
  std::array<char, 4096> buffer;
  while (true) {
    auto got = co_await stream.read(buffer, deadline);
    if (!got || *got == 0) co_return out;
    out.append(buffer.data(), *got);
  }
}

inline bool can_enforce(const std::string& name) {
  static const auto all = probe_capabilities();
  for (const auto& capability : all) {
    if (capability.name != name || capability.enforced) continue;
    std::cout << "SKIPPED: needs '" << name << "': " << capability.how << "\n";
    return false;
  }
  return true;
}
// First line of every test that needs something of the machine: skips loudly, by name.
#define NEEDS(name) \
  if (!::mayfly::sandbox::testing::can_enforce(name)) return

inline int count_lines(const std::string& path, const std::string& holding) {
  std::ifstream in(path);
  int count = 0;
  for (std::string line; std::getline(in, line);) count += line.find(holding) != std::string::npos;
  return count;
}

inline std::size_t open_descriptors(const std::string& pid) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/" + pid + "/fd")) {
    ++count;
  }
  return count;
}

// Of a script: waits for order_when_armed(). The order may come at any moment after the trap: a
// `wait` that it came before would wait for ever.
inline const std::string on_order = "trap go=1 TERM; until [ \"$go\" ]; do sleep 0.02; done; ";

inline std::string memory_file(int pid, const std::string& hierarchy, const std::string& name) {
  std::ifstream groups(fmt::format("/proc/{}/cgroup", pid));
  for (std::string line; std::getline(groups, line);) {
    auto path = line.substr(line.rfind(':') + 1);
    if (path.find("mayfly-") == std::string::npos) continue;
    std::ifstream in(fmt::format("/sys/fs/cgroup{}{}/{}", hierarchy, path, name));
    std::string out;
    if (std::getline(in, out)) return out;
  }
  return "";
}

// Whether the child of `init` has a handler for SIGTERM.
inline bool listens(int init) {
  std::ifstream children(fmt::format("/proc/{}/task/{}/children", init, init));
  int pid = 0;
  if (!(children >> pid)) return false;
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigCgt:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
  }
  return false;
}

// Lets a script go on once it listens and its jail's memory alarm has been set, or there will be
// none.
inline void order_when_armed(Instance& instance, std::uint64_t limit_bytes) {
  int init = instance.host_pid();
  auto limit = std::to_string(limit_bytes);
  for (int i = 0; i < 5000; ++i) {
    auto high = memory_file(init, "", "memory.high");
    auto hard = memory_file(init, "/memory", "memory.limit_in_bytes");
    if (listens(init) && (high == limit || (!hard.empty() && hard != limit))) break;
    ::usleep(1000);
  }
  instance.signal(SIGTERM);
}

// A directory, a loop and a launcher of its own for each test.
struct Jails {
  Jails() : state(make_dir()), loop(clock) {
    auto process = fork_launcher(state, launcher_program());
    REQUIRE(process.has_value());
    launcher_pid = process->pid;
    launcher = attach_launcher(loop, std::move(*process));
  }
  ~Jails() {
    loop.run_until(launcher->close());
    std::error_code ignored;
    std::filesystem::remove_all(state, ignored);
  }
  static std::string make_dir() {
    std::string name = "/tmp/mayfly-jail-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    return name;
  }
  Deadline soon() const { return loop.now() + std::chrono::seconds(20); }

  static Spec shell(const std::string& script) {
    Spec spec;
    spec.id = InstanceId("test");
    spec.argv = {"/bin/sh", "-c", script};
    spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin"};
    return spec;
  }
  // tests/jail/probe.c, built beside the test program.
  static Spec probe(std::vector<std::string> arguments) {
    Spec spec = shell("");
    auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "jail_probe";
    spec.binds = {{program, "/opt/probe"}};
    spec.argv = {"/opt/probe"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    return spec;
  }
  Result<std::unique_ptr<Instance>> launch(Spec spec) {
    return loop.run_until(launcher->launch(std::move(spec)));
  }
  io::Task<Result<Run>> run_task(Spec spec) {
    CO_TRY_ASSIGN(auto instance, co_await launcher->launch(std::move(spec)));
    Run out;
    out.output = co_await read_all(loop, instance->take_output(), soon());
    CO_TRY_ASSIGN(out.exit, co_await instance->exited(soon()));
    out.stats = instance->stats();
    co_return out;
  }
  Run run(Spec spec) {
    auto done = loop.run_until(run_task(std::move(spec)));
    if (!done) {
      FAIL(done.error().message);
      return {};
    }
    return *done;
  }
  Run run(const std::string& script) { return run(shell(script)); }

  // Reads the program's output until it holds `text` (or ends).
  std::string wait_for(io::Stream& output, std::string text) {
    return loop.run_until(wait_for_task(output, std::move(text), soon()));
  }
  static io::Task<std::string> wait_for_task(io::Stream& output, std::string text, Deadline until) {
    std::string out;
    std::array<char, 4096> buffer;
    while (out.find(text) == std::string::npos) {
      auto got = co_await output.read(buffer, until);
      if (!got || *got == 0) break;
      out.append(buffer.data(), *got);
    }
    co_return out;
  }

  SystemClock clock;
  std::string state;
  io::Loop loop;
  int launcher_pid = -1;
  std::unique_ptr<Launcher> launcher;
};

}  // namespace mayfly::sandbox::testing
