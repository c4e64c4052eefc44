// Control groups of cgroup v2 on the machine itself; tests/vm/run has one where this has not.
#include "sandbox/control_group.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "sandbox/sys.h"

using namespace mayfly;
using namespace mayfly::sandbox;

namespace {

// A group below that of the tests, in which a child of theirs looks around.
struct OwnGroup {
  OwnGroup() {
    auto base = open_control_groups(Room::make);
    exists = base.memory.version == 2;
    if (exists) dir = std::filesystem::path(base.memory.dir).parent_path() / "group-of-a-test";
    close_control_groups(base);
    if (exists) exists = ::mkdir(dir.c_str(), 0755) == 0;
  }
  ~OwnGroup() {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(dir, ignored)) {
      if (entry.is_directory()) ::rmdir(entry.path().c_str());
    }
    if (exists) ::rmdir(dir.c_str());
  }
  // The exit code of `body` in a process that is a member.
  template <class Body>
  int run(Body body) {
    pid_t pid = ::fork();
    if (pid == 0) ::_exit(sys::write_file(dir + "/cgroup.procs", "0") ? body() : 100);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string enabled() const {
    return sys::read_file(dir + "/cgroup.subtree_control").value_or("?");
  }

  bool exists = false;
  std::string dir;
};

}  // namespace

#define NEEDS_V2(group)                                                              \
  if (!group.exists) {                                                               \
    std::cout << "SKIPPED: needs cgroup v2, in a group that nobody else lives in\n"; \
    return;                                                                          \
  }

TEST_CASE("a number is that of its key, not of one that begins like it") {
  std::string dir = "/tmp/mayfly-group-test-XXXXXX";
  REQUIRE(::mkdtemp(dir.data()) != nullptr);
  ControlGroup group;
  group.memory = {.version = 1, .dir = dir};
  auto killed_with = [&](std::string_view text) {
    std::ofstream(dir + "/memory.oom_control") << text;
    return killed_for_memory(group);
  };
  CHECK(killed_with("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"));
  CHECK_FALSE(killed_with("oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"));
  CHECK_FALSE(killed_with(""));
  std::filesystem::remove_all(dir);
}

TEST_CASE("a look at cgroup v2 tells what the launcher will have, and changes nothing") {
  OwnGroup own;
  NEEDS_V2(own);
  CHECK(own.run([] {
    auto found = open_control_groups(Room::look);
    close_control_groups(found);
    return found.memory.version * 10 + found.processes.version;
  }) == 22);
  CHECK(own.enabled().empty());
  CHECK_FALSE(std::filesystem::exists(own.dir + "/server-of-mayfly"));
}

TEST_CASE("among processes of others cgroup v2 freezes and counts, and has no limits") {
  OwnGroup own;
  NEEDS_V2(own);
  CHECK(own.run([] {
    pid_t other = ::fork();
    while (other == 0) ::pause();
    auto found = open_control_groups(Room::make);
    auto group = make_control_group(found, "1");
    bool limited = found.memory.version + found.cpu.version + found.processes.version != 0;
    bool told = found.memory.why_not.contains("other processes live in");
    bool joined = group && group->freezer.version == 2 &&
                  sys::write_file(group->freezer.dir + "/cgroup.procs", std::to_string(other));
    ::kill(other, SIGKILL);
    ::waitpid(other, nullptr, 0);
    close_control_groups(found);
    return (limited ? 1 : 0) + (told ? 0 : 2) + (joined ? 0 : 4);
  }) == 0);
  CHECK(own.enabled().empty());
}

TEST_CASE("below a group that counts threads cgroup v2 is not used") {
  OwnGroup own;
  NEEDS_V2(own);
  CHECK(own.run([&own] {
    if (!sys::write_file(own.dir + "/cgroup.subtree_control", "+pids")) return 50;
    auto found = open_control_groups(Room::make);
    close_control_groups(found);
    return found.freezer.version + found.accounting.version + found.processes.version;
  }) == 0);
}

TEST_CASE("a second launcher of one server makes its groups beside those of the first") {
  OwnGroup own;
  NEEDS_V2(own);
  CHECK(own.run([] {
    auto first = open_control_groups(Room::make);
    auto second = open_control_groups(Room::make);
    bool beside = first.memory.version == 2 && first.memory.dir == second.memory.dir;
    close_control_groups(second);
    return beside ? 0 : 1;
  }) == 0);
}
