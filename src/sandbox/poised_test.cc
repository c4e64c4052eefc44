// Programs that are executed ahead of their start.
#include <sys/syscall.h>

#include <algorithm>

#include "sandbox/jail_fixture_test.h"
#include "sandbox/poised_program.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

using Texts = std::vector<std::string>;

std::string field_of(const std::string& pid, std::string_view name) {
  std::ifstream status("/proc/" + pid + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return line.substr(line.find_first_not_of(" \t", name.size()));
  }
  return "";
}

// Whether a jail's init has reported what it has to, and waits for an order.
bool waits_for_order(const std::string& init) {
  std::ifstream call("/proc/" + init + "/syscall");
  int number = -1;
  return call >> number && number == SYS_recvmsg;
}

// Programs of a launcher's jails that somebody holds. A traced one may still be on its way there.
std::vector<std::string> poised_below(int launcher) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    auto pid = entry.path().filename().string();
    auto tracer = field_of(pid, "TracerPid:");
    if (tracer.empty() || tracer == "0") continue;
    if (field_of(tracer, "PPid:") != std::to_string(launcher)) continue;
    if (waits_for_order(tracer)) out.push_back(pid);
  }
  return out;
}

bool come_to(const Jails& jails, std::size_t poised) {
  for (int i = 0; i < 5000; ++i) {
    if (poised_below(jails.launcher_pid).size() == poised) return true;
    ::usleep(1000);
  }
  return false;
}

Spec printing(std::string key) {
  auto spec =
      Jails::shell("echo $KEY $FIXED; grep TracerPid /proc/self/status; cat /proc/$$/environ");
  spec.env = {"FIXED=here", "KEY=" + std::move(key), "PATH=/usr/bin"};
  return spec;
}

std::string expected(const std::string& key) {
  using namespace std::string_literals;
  return key + " here\nTracerPid:\t0\nFIXED=here\0KEY="s + key + "\0PATH=/usr/bin\0"s;
}

}  // namespace

TEST_CASE("what stands for variables until the start says nothing, and has their shape") {
  Texts env{"A=one", "GLIBC_TUNABLES=x=1", "LD_PRELOAD=/opt/lib.so", "B=", "C"};
  auto stand_ins = stand_in(env);
  CHECK(stand_ins == Texts{"A=xxx", "GLIBC_TUNABLES=x=1", "LD_PRELOAD=/opt/lib.so", "B=", "C"});
  CHECK(takes_place_of(env, stand_ins));
  auto with = [&](std::size_t index, std::string text) {
    Texts out = env;
    out[index] = std::move(text);
    return takes_place_of(out, stand_ins);
  };
  CHECK(with(0, "A=two"));
  CHECK(with(0, "A=1"));
  CHECK_FALSE(with(0, "A=three"));               // no room
  CHECK_FALSE(with(0, "D=two"));                 // another name
  CHECK_FALSE(with(2, "LD_PRELOAD=/opt/1.so"));  // has been read
  CHECK_FALSE(takes_place_of(Texts(env.begin(), env.end() - 1), stand_ins));
}

#if defined(__x86_64__)

TEST_CASE("a program is executed ahead, and starts with the variables of its environment") {
  Jails jails;
  CHECK(jails.run(printing("first")).output == expected("first"));
  REQUIRE(come_to(jails, 2));
  auto held = poised_below(jails.launcher_pid).front();
  std::ifstream environment("/proc/" + held + "/environ");
  std::string text((std::istreambuf_iterator<char>(environment)), {});
  CHECK(text.find("KEY=xxxxx") != text.npos);
  CHECK(jails.run(printing("other")).output == expected("other"));
  REQUIRE(come_to(jails, 2));
  // Fewer bytes: the environment that /proc shows ends in nothing.
  auto run = jails.run(printing("few"));
  CHECK(run.output.starts_with(expected("few")));
  CHECK(run.exit.code == 0);
}

TEST_CASE("variables that do not fit, another limit, another folder: the program starts anew") {
  Jails jails;
  (void)jails.run(printing("first"));
  REQUIRE(come_to(jails, 2));
  CHECK(jails.run(printing("a longer one")).output == expected("a longer one"));
  REQUIRE(come_to(jails, 2));  // of the longer one, in place of the first
  CHECK(jails.run(printing("as long yes!")).output == expected("as long yes!"));
  REQUIRE(come_to(jails, 2));
  auto moved = printing("as long yes?");
  moved.cwd = "/tmp";
  CHECK(jails.run(moved).output == expected("as long yes?"));
  REQUIRE(come_to(jails, 4));
}

TEST_CASE(
    "what does not come to be held, or has more than its output, starts when it is asked for") {
  Jails jails;
  auto missing = Jails::shell("true");
  missing.argv = {"/usr/bin/there-is-no-such-program"};
  CHECK_FALSE(jails.launch(missing).has_value());
  auto channel = Jails::shell("echo no >&3; echo yes");
  channel.channel = true;
  CHECK(jails.run(channel).output == "yes\n");
  ::usleep(100'000);
  CHECK(poised_below(jails.launcher_pid).empty());
  CHECK_FALSE(jails.launch(missing).has_value());
}

TEST_CASE("a held program that is killed is replaced, and its launcher takes the others along") {
  int launcher = 0;
  {
    Jails jails;
    launcher = jails.launcher_pid;
    (void)jails.run(printing("first"));
    REQUIRE(come_to(jails, 2));
    auto killed = poised_below(launcher);
    for (const auto& pid : killed) ::kill(std::stoi(field_of(pid, "PPid:")), SIGKILL);
    auto gone = [](const std::string& pid) { return !std::filesystem::exists("/proc/" + pid); };
    for (int i = 0; i < 5000 && !std::ranges::all_of(killed, gone); ++i) ::usleep(1000);
    REQUIRE(come_to(jails, 2));
    CHECK(jails.run(printing("after")).output == expected("after"));
  }
  CHECK(poised_below(launcher).empty());
}

#endif
