// Limits of jails, how they end, and what they leave behind (nothing).
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <thread>

#include "sandbox/control_group.h"
#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

constexpr const char* jails_work = "isolated processes and files";

std::string command_of(int pid) {
  std::ifstream in(fmt::format("/proc/{}/comm", pid));
  std::string found;
  std::getline(in, found);
  return found;
}

// Processes of the machine whose command name is `name`.
int processes_named(const std::string& name) {
  int count = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    int pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0 && command_of(pid) == name) ++count;
  }
  return count;
}

int launcher_groups(int launcher_pid) {
  int count = 0;
  std::error_code ignored;
  for (auto at = std::filesystem::recursive_directory_iterator("/sys/fs/cgroup", ignored);
       at != std::filesystem::recursive_directory_iterator(); at.increment(ignored)) {
    auto name = at->path().filename().string();
    if (name.starts_with(fmt::format("mayfly-{}.", launcher_pid))) ++count;
  }
  return count;
}

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    ::usleep(10'000);
  }
  return false;
}

io::Task<void> count_success(Jails& jails, Spec spec, int& good) {
  auto run = co_await jails.run_task(std::move(spec));
  if (run && run->output == "x" && run->exit.code == 0) ++good;
}

}  // namespace

TEST_CASE("exit statuses and signals are told apart") {
  NEEDS(jails_work);
  Jails jails;
  for (int code : {0, 1, 127, 255}) {
    auto run = jails.run(fmt::format("exit {}", code));
    CHECK(run.exit.code == code);
    CHECK(run.exit.signal == 0);
  }
  for (int number : {SIGTERM, SIGSEGV, SIGABRT, SIGKILL, SIGPIPE}) {
    auto run = jails.run(Jails::probe({"signal", std::to_string(number)}));
    CHECK(run.exit.signal == number);
    CHECK(run.exit.code == -1);
    CHECK_FALSE(run.exit.out_of_memory);
  }
}

TEST_CASE("a signal reaches the main process") {
  NEEDS(jails_work);
  Jails jails;
  auto instance = jails.launch(Jails::probe({"wait-term"}));
  REQUIRE(instance.has_value());
  io::Stream output(jails.loop, (*instance)->take_output());
  REQUIRE(jails.wait_for(output, "ready") == "ready\n");
  (*instance)->signal(SIGTERM);
  CHECK(jails.wait_for(output, "SIGTERM") == "got SIGTERM\n");
  CHECK(jails.loop.run_until((*instance)->exited(jails.soon()))->code == 33);
}

TEST_CASE("kill ends grandchildren and daemons in sessions of their own") {
  NEEDS(jails_work);
  Jails jails;
  REQUIRE(processes_named("daemon") == 0);
  auto instance = jails.launch(Jails::probe({"daemons", "5"}));
  REQUIRE(instance.has_value());
  io::Stream output(jails.loop, (*instance)->take_output());
  REQUIRE(jails.wait_for(output, "ready") == "ready\n");
  CHECK(eventually([] { return processes_named("daemon") == 5; }));
  (*instance)->kill();
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  CHECK(exit->signal == SIGKILL);
  CHECK(processes_named("daemon") == 0);
}

TEST_CASE("the tree ends with its main process, and orphans are reaped") {
  NEEDS(jails_work);
  Jails jails;
  auto run = jails.run("sleep 1000 & sleep 1000 & exit 3");
  CHECK(run.exit.code == 3);
  // Left besides the probe: init alone.
  CHECK(jails.run(Jails::probe({"orphans", "20"})).output == "others 1\n");
}

TEST_CASE("/tmp has the size and the number of files it was given") {
  NEEDS(jails_work);
  Jails jails;
  Spec spec = Jails::probe({"fill"});
  spec.limits.tmp_bytes = 4 << 20;
  auto run = jails.run(spec);
  INFO(run.output);
  CHECK(run.output.starts_with("wrote 4194304 ENOSPC\n"));
  CHECK(run.output.find("ENOSPC", 30) != std::string::npos);
}

TEST_CASE("a program over its memory limit is killed and said to be") {
  NEEDS("memory limit");
  Jails jails;
  Spec spec = Jails::probe({"eat", "256"});
  spec.limits.memory_bytes = 64 << 20;
  auto run = jails.run(spec);
  CHECK(run.output.empty());
  CHECK(run.exit.signal == SIGKILL);
  CHECK(run.exit.out_of_memory);
  CHECK(run.stats.memory_peak_bytes >= (60u << 20));
  CHECK(run.stats.memory_peak_bytes <= (64u << 20));

  spec = Jails::probe({"eat", "20"});
  spec.limits.memory_bytes = 64 << 20;
  run = jails.run(spec);
  CHECK(run.output == "ate 20\n");
  CHECK_FALSE(run.exit.out_of_memory);
  CHECK(run.stats.memory_peak_bytes >= (20u << 20));
}

TEST_CASE("a fork bomb stays within the limit of processes") {
  NEEDS("process limit");
  Jails jails;
  Spec spec = Jails::probe({"fork-bomb"});
  spec.limits.processes = 40;
  CHECK(jails.run(spec).output == "forked 39\n");
}

TEST_CASE("a small processor share does not slow the death of a large tree") {
  NEEDS("processor share");
  Jails jails;
  auto instance = jails.launch(
      Jails::shell("i=0; while [ $i -lt 600 ]; do sleep 100 & i=$((i+1)); done; echo ready; wait"));
  REQUIRE(instance.has_value());
  io::Stream output(jails.loop, (*instance)->take_output());
  REQUIRE(jails.wait_for(output, "ready") == "ready\n");
  // 1 ms in 100: six hundred processes would need the better part of a minute to die.
  (*instance)->set_cpu_millis(1);
  (*instance)->kill();
  auto exit =
      jails.loop.run_until((*instance)->exited(jails.loop.now() + std::chrono::seconds(20)));
  CHECK(exit.has_value());
}

TEST_CASE("processor time is limited and counted") {
  NEEDS("processor share");
  Jails jails;
  Spec spec = Jails::shell("timeout 1 sh -c 'while :; do :; done'");
  spec.limits.cpu_millis = 200;
  auto run = jails.run(spec);
  CHECK(run.stats.cpu_ns > 20'000'000);
  CHECK(run.stats.cpu_ns < 400'000'000);
}

TEST_CASE("processors that are wanted by more are shared by weight") {
  NEEDS("processor share");
  Jails jails;
  std::vector<std::unique_ptr<Instance>> spinning;
  unsigned each = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 0; i < 2 * each; ++i) {
    Spec spec = Jails::shell("while :; do :; done");
    auto instance = jails.launch(spec);
    REQUIRE(instance.has_value());
    if (i < each) (*instance)->set_cpu_weight(100);
    spinning.push_back(std::move(*instance));
  }
  auto used = [&](unsigned from) {
    std::uint64_t sum = 0;
    for (unsigned i = from; i < from + each; ++i) sum += spinning[i]->stats().cpu_ns;
    return sum;
  };
  // The kernel may take its time to spread them over the processors.
  bool by_weight = false;
  for (int tries = 0; tries < 20 && !by_weight; ++tries) {
    auto light_before = used(0);
    auto heavy_before = used(each);
    while (used(each) - heavy_before < 300'000'000ull * each) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    by_weight = 3 * (used(0) - light_before) < used(each) - heavy_before;
  }
  CHECK(by_weight);
}

TEST_CASE("memory and processor time are told while a jail runs and after, by any means") {
  NEEDS(jails_work);
  Jails jails;
  auto instance = jails.launch(Jails::shell(
      "x=$(head -c 20000000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 200000 ]; do i=$((i+1)); "
      "done; echo ready; sleep 100"));
  REQUIRE(instance.has_value());
  io::Stream output(jails.loop, (*instance)->take_output());
  REQUIRE(jails.wait_for(output, "ready") == "ready\n");
  Stats running = (*instance)->stats();
  CHECK(running.memory_bytes > 10'000'000);
  CHECK(running.memory_peak_bytes >= running.memory_bytes);
  CHECK(running.cpu_ns > 20'000'000);
  (*instance)->kill();
  REQUIRE(jails.loop.run_until((*instance)->exited(jails.soon())).has_value());
  CHECK((*instance)->stats().memory_peak_bytes > 10'000'000);
}

TEST_CASE("a frozen jail stands still, thaws, and can be killed frozen") {
  NEEDS(jails_work);
  Jails jails;
  auto instance = jails.launch(Jails::probe({"count"}));
  REQUIRE(instance.has_value());
  io::Stream output(jails.loop, (*instance)->take_output());
  REQUIRE_FALSE(jails.wait_for(output, "3\n").empty());
  (*instance)->freeze();
  ::usleep(100'000);
  std::array<char, 65536> buffer;
  while (true) {  // what was written before it froze
    auto got = output.read_some(buffer);
    if (!got || !*got) break;
  }
  ::usleep(200'000);
  auto while_frozen = output.read_some(buffer);
  REQUIRE(while_frozen.has_value());
  CHECK_FALSE(while_frozen->has_value());
  (*instance)->thaw();
  CHECK_FALSE(jails.wait_for(output, "\n").empty());
  (*instance)->freeze();
  (*instance)->kill();
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  CHECK(exit->signal == SIGKILL);
}

TEST_CASE("waiting for the end gives up at its deadline") {
  NEEDS(jails_work);
  Jails jails;
  auto instance = jails.launch(Jails::shell("sleep 100"));
  REQUIRE(instance.has_value());
  auto soon = jails.loop.now() + std::chrono::milliseconds(20);
  auto exit = jails.loop.run_until((*instance)->exited(soon));
  REQUIRE_FALSE(exit.has_value());
  CHECK(exit.error().kind == ErrorKind::timeout);
  (*instance)->kill();
  (*instance)->kill();
  CHECK(jails.loop.run_until((*instance)->exited(jails.soon())).has_value());
  CHECK((*instance)->has_exited());
}

TEST_CASE("200 jails one after the other and 50 at once leave nothing behind") {
  NEEDS(jails_work);
  int pid = -1;
  {
    Jails jails;
    pid = jails.launcher_pid;
    std::string launcher = std::to_string(pid);
    REQUIRE(jails.run(Jails::probe({"hello"})).output == "x");
    for (int i = 0; i < 199; ++i) {
      auto run = jails.run(Jails::probe({"hello"}));
      REQUIRE(run.output == "x");
      REQUIRE(run.exit.code == 0);
    }
    std::size_t own_before = open_descriptors("self");
    int good = 0;
    io::TaskScope scope(jails.loop);
    for (int i = 0; i < 50; ++i) {
      scope.spawn(count_success(jails, Jails::probe({"hello"}), good));
    }
    jails.loop.run_until(scope.drain(jails.soon()));
    jails.loop.run_until(scope.close());
    CHECK(good == 50);
    CHECK(open_descriptors("self") == own_before);
    // The jails parked ahead, two with the program executed already, and the helper for memory
    // groups; nothing else.
    auto children = fmt::format("/proc/{}/task/{}/children", pid, pid);
    CHECK(eventually([&] {
      std::ifstream in(children);
      int count = 0;
      for (int child = 0; in >> child;) count += command_of(child) != "mayfly-memory";
      return count == 4 + 2;
    }));
    CHECK(open_descriptors(launcher) < 100);
    CHECK(count_lines("/proc/self/mounts", "mayfly") == 0);
    CHECK(count_lines(fmt::format("/proc/{}/mounts", pid), "mayfly-root") == 1);
  }
  CHECK(launcher_groups(pid) == 0);
  CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("the end of the server, even by kill -9, ends every jail") {
  NEEDS(jails_work);
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  pid_t server = ::fork();
  if (server == 0) {
    Jails jails;
    auto instance = jails.launch(Jails::probe({"daemons", "3"}));
    if (!instance) ::_exit(1);
    io::Stream output(jails.loop, (*instance)->take_output());
    jails.wait_for(output, "ready");
    int launcher = jails.launcher_pid;
    (void)!::write(pipe[1], &launcher, sizeof launcher);
    ::pause();
    ::_exit(0);
  }
  ::close(pipe[1]);
  int launcher = 0;
  REQUIRE(::read(pipe[0], &launcher, sizeof launcher) == sizeof launcher);
  CHECK(eventually([] { return processes_named("daemon") == 3; }));
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  CHECK(eventually([] { return processes_named("daemon") == 0; }));
  CHECK(eventually([&] { return launcher_groups(launcher) == 0; }));
  CHECK(eventually([&] { return process_stamp(launcher).empty(); }));
  ::close(pipe[0]);
}

TEST_CASE("the death of the launcher ends its jails and is told to their owners") {
  NEEDS(jails_work);
  Jails jails;
  auto instance = jails.launch(Jails::probe({"daemons", "2"}));
  REQUIRE(instance.has_value());
  io::Stream output(jails.loop, (*instance)->take_output());
  REQUIRE(jails.wait_for(output, "ready") == "ready\n");
  ::kill(jails.launcher_pid, SIGKILL);
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  CHECK(exit->signal == SIGKILL);
  CHECK(eventually([] { return processes_named("daemon") == 0; }));
  auto refused = jails.launch(Jails::shell("true"));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::unavailable);
  // What a dead launcher leaves, the next one sweeps.
  Jails next;
  CHECK(next.run("echo ok").output == "ok\n");
  CHECK(launcher_groups(jails.launcher_pid) == 0);
}
