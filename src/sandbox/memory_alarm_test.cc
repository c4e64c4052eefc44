#include "sandbox/memory_alarm.h"

#include <fcntl.h>
#include <signal.h>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t limit = 64ull << 20;

// Runs `script` when it is ordered to.
Spec ordered(const std::string& script) {
  Spec spec = Jails::shell(on_order + script);
  spec.binds = Jails::probe({}).binds;
  spec.limits.memory_bytes = limit;
  return spec;
}

Spec eater(const std::string& megabytes) { return ordered("exec /opt/probe eat " + megabytes); }

// The files of a group of cgroup v2, as the kernel would show them; but a text written over a
// longer one leaves the rest of that.
struct Files {
  Files() {
    std::string made = "/tmp/mayfly-group-XXXXXX";
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    dir = made;
    group.memory = {2, dir.string(), ""};
    for (const char* name : {"memory.high", "memory.max"}) set(name, "max");
    set("memory.events", "high 0\n");
    set("memory.stat", "anon 1000000\ninactive_file 0\nactive_file 0\nfile 9\n");
  }
  ~Files() { std::filesystem::remove_all(dir); }
  void set(const char* name, const std::string& text) const { std::ofstream(dir / name) << text; }
  std::string get(const char* name) const {
    std::string out;
    std::ifstream(dir / name) >> out;
    return out;
  }
  std::filesystem::path dir;
  ControlGroup group;
};

Run run_ordered(Jails& jails, const Spec& spec) {
  auto instance = jails.launch(spec);
  REQUIRE(instance.has_value());
  order_when_armed(**instance, spec.limits.memory_bytes);
  Run out;
  out.output = jails.loop.run_until(read_all(jails.loop, (*instance)->take_output(), jails.soon()));
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  out.exit = *exit;
  out.stats = (*instance)->stats();
  return out;
}

bool told(Jails& jails, Instance& instance) {
  order_when_armed(instance, limit);
  return jails.loop.run_until(instance.out_of_memory());
}

}  // namespace

TEST_CASE("what is out of memory is held, to be looked at, and dies when it is killed") {
  NEEDS("memory limit");
  Jails jails;
  auto instance = jails.launch(eater("256"));
  REQUIRE(instance.has_value());
  REQUIRE(told(jails, **instance));
  auto found = (*instance)->evidence();
  REQUIRE(found.processes.size() == 1);
  CHECK(found.processes[0].command == "probe");
  CHECK(found.processes[0].resident_bytes > 50u << 20);
  CHECK((*instance)->stats().memory_peak_bytes <= limit);
  (*instance)->kill();
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  CHECK(exit->signal == SIGKILL);
  CHECK(exit->out_of_memory);
}

TEST_CASE("what is given room goes on, and is held again at the end of it") {
  NEEDS("memory limit");
  Jails jails;
  auto instance = jails.launch(eater("100"));
  REQUIRE(instance.has_value());
  REQUIRE(told(jails, **instance));
  io::Stream output(jails.loop, (*instance)->take_output());
  (*instance)->give_room();
  CHECK(jails.wait_for(output, "ate 100\n") == "ate 100\n");
  (*instance)->kill();
  REQUIRE(jails.loop.run_until((*instance)->exited(jails.soon())));
}

TEST_CASE("what nobody kills is held for a moment only") {
  NEEDS("memory limit");
  Jails jails;
  auto instance = jails.launch(eater("256"));
  REQUIRE(instance.has_value());
  REQUIRE(told(jails, **instance));
  MonoTime held = jails.loop.now();
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  CHECK(exit->out_of_memory);
  CHECK(jails.loop.now() - held >= memory_hold_time / 2);
}

TEST_CASE("of a program's children the kernel ends one, and the program goes on") {
  NEEDS("memory limit");
  Jails jails;
  auto run = run_ordered(jails, ordered("/opt/probe eat 256; echo $?"));
  CHECK(run.output == "Killed\n137\n");
  CHECK(run.exit.code == 0);
}

// On cgroup v1 nothing makes the kernel kill such a one before it asks for more.
TEST_CASE("a child that keeps what is a little too much is ended as well") {
  NEEDS("memory limit");
  Jails jails;
  auto run = run_ordered(jails, ordered("/opt/probe hold 68 & wait $!; echo $?"));
  CHECK(run.output.ends_with("137\n"));
  CHECK(run.exit.code == 0);
}

// Written and dropped from the machine's cache, so that who reads it is charged for it.
std::string make_large_file(const Jails& jails, int mebibytes) {
  auto file = jails.state + "/large";
  {
    std::ofstream out(file, std::ios::binary);
    std::string part(1 << 20, 'x');
    for (int i = 0; i < mebibytes; ++i) out << part;
  }
  int fd = ::open(file.c_str(), O_RDONLY);
  ::fsync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
  return file;
}

TEST_CASE("pages of files are no lack of memory") {
  NEEDS("memory limit");
  Jails jails;
  auto file = make_large_file(jails, 150);
  Spec spec = ordered("cat /opt/large /opt/large | wc -c");
  spec.binds = {{file, "/opt/large"}};
  spec.limits.memory_bytes = 32ull << 20;
  // More false alarms than are looked at, and one after the other.
  for (int i = 0; i < 2; ++i) {
    auto run = run_ordered(jails, spec);
    CHECK(run.output == "314572800\n");
    CHECK_FALSE(run.exit.out_of_memory);
    CHECK(run.stats.memory_peak_bytes <= spec.limits.memory_bytes);
  }
}

TEST_CASE("an alarm that was a false one is heard again when it is none") {
  NEEDS("memory limit");
  Jails jails;
  auto file = make_large_file(jails, 72);
  auto spec = ordered("cat /opt/large > /dev/null; exec /opt/probe eat 256");
  spec.binds.push_back({file, "/opt/large"});
  auto instance = jails.launch(spec);
  REQUIRE(instance.has_value());
  CHECK(told(jails, **instance));
}

TEST_CASE("jails that end while their alarms are set leave nothing behind") {
  NEEDS("memory limit");
  Jails jails;
  for (int i = 0; i < 40; ++i) {
    auto spec = Jails::shell(fmt::format("sleep 0.00{}", i % 10));
    spec.limits.memory_bytes = limit;
    CHECK(jails.run(spec).exit.code == 0);
  }
  auto instance = jails.launch(eater("256"));
  REQUIRE(instance.has_value());
  CHECK(told(jails, **instance));
}

TEST_CASE("one that ends by itself is told to have memory") {
  NEEDS("memory limit");
  Jails jails;
  auto instance = jails.launch(eater("10"));
  REQUIRE(instance.has_value());
  CHECK_FALSE(told(jails, **instance));
}

TEST_CASE("on cgroup v2 the limit is where the kernel slows a group down, with room above it") {
  Files files;
  auto alarm = arm_memory_alarm(files.group, limit);
  REQUIRE(alarm);
  CHECK(files.get("memory.high") == std::to_string(limit));
  CHECK(files.get("memory.max") == std::to_string(limit + memory_room_bytes));
  take_memory_alarm(files.group, alarm);
  files.set("memory.current", std::to_string(limit - 1));
  CHECK_FALSE(is_out_of_memory(files.group, limit));
  files.set("memory.current", std::to_string(limit));
  CHECK(is_out_of_memory(files.group, limit));
  // Pages of files can be dropped.
  files.set("memory.stat", "inactive_file 1\nactive_file 4095\n");
  CHECK_FALSE(is_out_of_memory(files.group, limit));
  files.set("memory.current", std::to_string(limit + 4096));
  CHECK(is_out_of_memory(files.group, limit));
  give_memory_room(files.group);
  CHECK(files.get("memory.high").starts_with("max"));
  let_kernel_kill(files.group, limit);
  CHECK(files.get("memory.max").starts_with(std::to_string(limit)));
}

TEST_CASE("where a group has no such files, or no limit, there is no alarm") {
  Files files;
  CHECK_FALSE(arm_memory_alarm(files.group, 0));
  std::filesystem::remove(files.dir / "memory.high");
  CHECK_FALSE(arm_memory_alarm(files.group, limit));
  CHECK(files.get("memory.max") == "max");
  CHECK_FALSE(arm_memory_alarm({}, limit));
}
