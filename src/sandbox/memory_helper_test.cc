#include "sandbox/memory_helper.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/jail_fixture_test.h"
#include "sandbox/memory_threshold.h"
#include "sandbox/process_tree.h"
#include "sandbox/sys.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;
using What = MemoryOrder::What;

namespace {

constexpr std::uint64_t limit = 64ull << 20;

// A group of cgroup v1 with a limit, where the machine has them.
struct Group {
  Group() {
    base = open_control_groups(Room::look);
    if (base.memory.version != 1) return;
    auto made = make_control_group(base, "helper-test");
    if (!made) return;
    group = std::move(*made);
    exists =
        set_limits(group, {.memory_bytes = limit, .cpu_millis = 0, .processes = 0}).has_value();
  }
  ~Group() {
    if (exists) remove_control_group(group);
    close_control_groups(base);
  }
  std::uint64_t hard_limit() const {
    auto text = sys::read_file(group.memory.dir + "/memory.limit_in_bytes").value_or("0");
    return std::strtoull(text.c_str(), nullptr, 10);
  }
  // A process in it that has `mebibytes` and keeps them, once it has.
  pid_t holder(int mebibytes) const {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    pid_t pid = ::fork();
    if (pid == 0) {
      (void)sys::write_file(group.memory.dir + "/cgroup.procs", "0");
      auto bytes = static_cast<std::size_t>(mebibytes) << 20;
      auto* memory = static_cast<volatile char*>(::malloc(bytes));
      for (std::size_t at = 0; at < bytes; at += 4096) memory[at] = 7;
      (void)!::write(pipe[1], "x", 1);
      while (true) ::pause();
    }
    ::close(pipe[1]);
    char byte = 0;
    CHECK(::read(pipe[0], &byte, 1) == 1);
    ::close(pipe[0]);
    return pid;
  }
  ControlGroup base;
  ControlGroup group;
  bool exists = false;
};
#define NEEDS_V1(group)                                          \
  if (!(group).exists) {                                         \
    std::cout << "SKIPPED: needs a memory group of cgroup v1\n"; \
    return;                                                      \
  }

MemoryAnswer answer_of(MemoryHelper& helper) {
  for (int i = 0; i < 100; ++i) {
    pollfd readable{.fd = helper.fd(), .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, 20'000);
    if (auto answer = helper.take()) return *answer;
  }
  FAIL("no answer");
  return {};
}

int end_of(pid_t pid) {
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

}  // namespace

TEST_CASE("the memory helper answers in order, and that of groups which are gone fails") {
  MemoryHelper helper;
  REQUIRE(helper.start());
  auto running = helper.pid();
  REQUIRE(helper.start());
  CHECK(helper.pid() == running);
  io::Fd event(::eventfd(0, 0));
  helper.ask({What::arm, 1, limit, "/no/such/group"}, event.get());
  CHECK(helper.works_on(1));
  for (std::uint64_t jail : {2, 3, 4}) helper.ask({What::squeeze, jail, limit, "/no/such/group"});
  helper.ask({What::lower, 5, limit, "/no/such/group"});
  helper.forget(3);
  CHECK_FALSE(helper.has_order_of(3));
  CHECK(helper.has_order_of(4));
  for (std::uint64_t jail : {1, 2, 4, 5}) {
    CHECK(helper.busy());
    auto answer = answer_of(helper);
    CHECK(answer.jail == jail);
    CHECK_FALSE(answer.lost);
    CHECK(answer.done == (answer.what == What::squeeze));  // nothing is used there
  }
  CHECK_FALSE(helper.busy());
}

TEST_CASE("a memory helper that is killed over an order says so, and another does the rest") {
  MemoryHelper helper;
  REQUIRE(helper.start());
  auto first = helper.pid();
  ::kill(first, SIGSTOP);
  helper.ask({What::lower, 7, limit, "/no/such/group"});
  helper.ask({What::lower, 8, limit, "/no/such/group"});
  ::kill(first, SIGKILL);
  auto answer = answer_of(helper);
  CHECK(answer.lost);
  CHECK(answer.jail == 7);
  CHECK_FALSE(helper.runs());
  CHECK(helper.busy());
  REQUIRE(helper.start());
  CHECK(helper.pid() != first);
  answer = answer_of(helper);
  CHECK(answer.jail == 8);
  CHECK_FALSE(answer.lost);
  CHECK_FALSE(helper.busy());
}

TEST_CASE("the memory helper keeps none of the descriptors around it, and ends with its owner") {
  io::Fd event(::eventfd(0, 0));
  std::optional<MemoryHelper> helper(std::in_place);
  REQUIRE(helper->start());
  helper->ask({What::lower, 1, limit, "/no/such/group"});
  answer_of(*helper);
  CHECK(open_descriptors(std::to_string(helper->pid())) == 4);
  pid_t pid = helper->pid();
  helper.reset();
  CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("a threshold tells of the limit, and there is room above it") {
#if __has_feature(thread_sanitizer)
  MESSAGE("SKIPPED: with this sanitizer 64 MiB are more than the room");
  return;
#endif
  Group group;
  NEEDS_V1(group);
  io::Fd event(::eventfd(0, EFD_NONBLOCK));
  REQUIRE(arm_threshold(group.group.memory.dir, limit, event.get()));
  CHECK(group.hard_limit() == limit + memory_room_bytes);
  eventfd_t count = 0;
  pid_t small = group.holder(16);
  CHECK(::eventfd_read(event.get(), &count) != 0);
  CHECK_FALSE(is_out_of_memory(group.group, limit));
  pid_t large = group.holder(64);
  CHECK(::eventfd_read(event.get(), &count) == 0);
  CHECK(is_out_of_memory(group.group, limit));
  CHECK(largest_process(group.group) == large);
  // Nothing there that could be dropped.
  CHECK_FALSE(squeeze(group.group.memory.dir, limit));
  CHECK_FALSE(lower_limit(group.group.memory.dir, limit));
  CHECK(group.hard_limit() == limit + memory_room_bytes);
  CHECK(kill_until_lowered(group.group.memory.dir, limit));
  CHECK(end_of(large) == SIGKILL);
  CHECK(group.hard_limit() == limit);
  CHECK(::kill(small, 0) == 0);
  ::kill(small, SIGKILL);
  end_of(small);
}

TEST_CASE("one that does not die in time, since it is frozen, is not waited for longer") {
  Group group;
  NEEDS_V1(group);
  // Of version 1: by that of version 2 SIGKILL is seen.
  auto frozen = fmt::format("/sys/fs/cgroup/freezer/mayfly-{}", process_stamp(::getpid()));
  if (::mkdir(frozen.c_str(), 0755) != 0) {
    std::cout << "SKIPPED: needs a freezer of cgroup v1\n";
    return;
  }
  io::Fd event(::eventfd(0, EFD_NONBLOCK));
  REQUIRE(arm_threshold(group.group.memory.dir, limit, event.get()));
  pid_t large = group.holder(80);
  CHECK(sys::write_file(frozen + "/cgroup.procs", std::to_string(large)));
  CHECK(sys::write_file(frozen + "/freezer.state", "FROZEN"));
  CHECK_FALSE(kill_until_lowered(group.group.memory.dir, limit, std::chrono::milliseconds(20)));
  CHECK(sys::write_file(frozen + "/freezer.state", "THAWED"));
  CHECK(end_of(large) == SIGKILL);
  CHECK(::rmdir(frozen.c_str()) == 0);
}

TEST_CASE("alarms go on after the launcher's helper was killed") {
  NEEDS("memory limit");
  Jails jails;
  auto run = [&] {
    auto spec = Jails::shell(on_order + "exec /opt/probe eat 256");
    spec.binds = Jails::probe({}).binds;
    spec.limits.memory_bytes = limit;
    auto instance = jails.launch(spec);
    REQUIRE(instance.has_value());
    order_when_armed(**instance, limit);
    CHECK(jails.loop.run_until((*instance)->out_of_memory()));
  };
  run();
  auto helper = [&] {
    for (int pid : processes_below(jails.launcher_pid, 100)) {
      auto name = sys::read_file(fmt::format("/proc/{}/comm", pid)).value_or("");
      auto status = sys::read_file(fmt::format("/proc/{}/status", pid)).value_or("");
      if (name == "mayfly-memory\n" && !status.contains("State:\tZ")) return pid;
    }
    return -1;
  };
  int killed = helper();
  REQUIRE(killed > 0);
  ::kill(killed, SIGKILL);
  // What it has in hand when it ends goes without an alarm: the next jail starts with another one.
  for (int i = 0; i < 5000 && (helper() < 0 || helper() == killed); ++i) ::usleep(1000);
  run();
  run();
}
