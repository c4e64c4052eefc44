// A parked guest that becomes an environment: in the end its jail is as any other.
#include <signal.h>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

constexpr const char* jails_work = "isolated processes and files";

// A parked guest (tests/jail/template.c), and a function's code for it.
struct Parked {
  Parked() : code(jails.state + "/code") {
    std::filesystem::create_directories(code + "/lib");
    std::ofstream(code + "/file-of-the-code") << "text";
    auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    Spec spec = Jails::shell("");
    spec.binds = {{beside / "jail_template", "/var/runtime/template"},
                  {beside / "jail_probe", "/var/runtime/probe"}};
    spec.argv = {"/var/runtime/template"};
    spec.env.push_back("OF_THE_BOOT=yes");
    spec.parking = Parking::specialisable;
    spec.channel = true;
    spec.listen_ports = {9001};
    auto launched = jails.launch(spec);
    REQUIRE_MESSAGE(launched.has_value(), launched.error().message);
    instance = std::move(*launched);
    output.emplace(jails.loop, instance->take_output());
    REQUIRE(jails.wait_for(*output, "parked\n") == "parked\n");
  }
  Spec order(const std::string& script) const {
    Spec spec;
    spec.binds = {{code, "/var/task"}};
    spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "MARK=7", "RUN=" + script};
    return spec;
  }
  Result<> specialise(Spec spec) {
    return jails.loop.run_until(jails.launcher->specialise(*instance, std::move(spec)));
  }
  // Becomes it, and runs to its end.
  std::string run(const std::string& script) {
    auto done = specialise(order(script));
    if (!done) FAIL(done.error().message);
    auto text = jails.wait_for(*output, "no such text");
    exit();
    return text;
  }
  Exit exit() {
    auto ended = jails.loop.run_until(instance->exited(jails.soon()));
    REQUIRE(ended.has_value());
    return *ended;
  }

  Jails jails;
  std::string code;
  std::unique_ptr<Instance> instance;
  std::optional<io::Stream> output;
};

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a specialised guest sees its code, from its own directory") {
  NEEDS(jails_work);
  Parked parked;
  auto output = parked.run("ls; echo at $(readlink /proc/self/cwd); ls /var/task; exit 7");
  CHECK(output == "mark=7\nfile-of-the-code\nlib\nat /var/task\nfile-of-the-code\nlib\n");
  CHECK(parked.exit().code == 7);
}

TEST_CASE("a specialised guest has the environment of its order alone") {
  NEEDS(jails_work);
  Parked parked;
  auto output = parked.run("echo boot=$OF_THE_BOOT mark=$MARK");
  CHECK(holds(output, "boot= mark=7\n"));
}

TEST_CASE("a specialised guest has no rights, and a jail that is not written to") {
  NEEDS(jails_work);
  Parked parked;
  auto output = parked.run(
      "id -u; grep -E '^(Cap(Prm|Eff)|NoNew|Seccomp:)' /proc/self/status; "
      "grep Seccomp: /proc/1/status; ls /proc/1/fd; touch /var/task/new; touch /new; "
      "ls -l /proc/self/fd/5");
  INFO(output);
  CHECK(holds(output, "\n993\n"));
  CHECK(holds(output,
              "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"
              "Seccomp:\t2\nSeccomp:\t2\n"));
  CHECK(holds(output, "/proc/1/fd': Permission denied"));
  CHECK(holds(output, "'/var/task/new': Read-only file system"));
  CHECK(holds(output, "'/new': Read-only file system"));
  CHECK(holds(output, "'/proc/self/fd/5': No such file"));
}

TEST_CASE("a specialised guest may do no more than any other program") {
  NEEDS(jails_work);
  Parked parked;
  auto plain = parked.jails.run(Jails::probe({"attempts"}));
  auto output = parked.run("exec /var/runtime/probe attempts");
  CHECK(output == "mark=7\n" + plain.output);
}

TEST_CASE("the order sets the size of /tmp, and keeps what is in it") {
  NEEDS(jails_work);
  Parked parked;
  auto order = parked.order("cat /tmp/from-init; echo; df -k /tmp | tail -1 | tr -s ' '");
  order.limits.tmp_bytes = 64ull << 20;
  REQUIRE(parked.specialise(std::move(order)).has_value());
  auto output = parked.jails.wait_for(*parked.output, "no such text");
  CHECK(holds(output, "left by init"));
  CHECK(holds(output, "tmp 65536 "));
}

TEST_CASE("the order's memory limit holds") {
  NEEDS("memory limit");
  Parked parked;
  auto order = parked.order("exec /var/runtime/probe eat 400");
  order.limits.memory_bytes = 64ull << 20;
  REQUIRE(parked.specialise(std::move(order)).has_value());
  CHECK(parked.exit().out_of_memory);
}

TEST_CASE("a specialised guest keeps its listeners, and its signals reach it") {
  NEEDS(jails_work);
  Parked parked;
  auto& loop = parked.jails.loop;
  auto listeners = parked.instance->take_listeners();
  REQUIRE(listeners.size() == 1);
  auto script =
      "trap 'echo trapped; exit 3' TERM; /var/runtime/probe connect 9001 hello & "
      "while :; do sleep 0.05; done";
  REQUIRE(parked.specialise(parked.order(script)).has_value());
  io::Listener listener(loop, std::move(listeners[0]));
  REQUIRE(loop.run_until(listener.accept()).has_value());
  parked.instance->signal(SIGTERM);
  CHECK(holds(parked.jails.wait_for(*parked.output, "trapped\n"), "trapped\n"));
  CHECK(parked.exit().code == 3);
}

TEST_CASE("a large environment reaches the guest") {
  NEEDS(jails_work);
  Parked parked;
  auto order = parked.order("echo ${#LONG}");
  order.env.push_back("LONG=" + std::string(50'000, 'x'));
  for (int i = 0; i < 30; ++i) order.env.push_back(fmt::format("N{}={:0>400}", i, i));
  REQUIRE(parked.specialise(std::move(order)).has_value());
  CHECK(holds(parked.jails.wait_for(*parked.output, "no such text"), "50000\n"));
}

TEST_CASE("code that is not there ends the parked guest, with the reason") {
  NEEDS(jails_work);
  Parked parked;
  auto order = parked.order("exit 0");
  order.binds[0].source = "/nowhere/at/all";
  auto done = parked.specialise(std::move(order));
  REQUIRE_FALSE(done.has_value());
  CHECK(holds(done.error().message, "/nowhere/at/all"));
  CHECK(parked.exit().signal == SIGKILL);
}

TEST_CASE("a guest is specialised once, and only while it lives") {
  NEEDS(jails_work);
  Parked parked;
  REQUIRE(parked.specialise(parked.order("sleep 600")).has_value());
  auto again = parked.specialise(parked.order("exit 0"));
  REQUIRE_FALSE(again.has_value());
  CHECK_FALSE(parked.instance->has_exited());
  parked.instance->kill();
  parked.exit();
  Parked other;
  other.instance->kill();
  CHECK_FALSE(other.specialise(other.order("exit 0")).has_value());
  other.exit();
}

TEST_CASE("a guest that cannot take its order is ended") {
  NEEDS(jails_work);
  Parked parked;
  auto order = parked.order("exit 0");
  // More than the socket holds: the guest never gets it.
  for (int i = 0; i < 40; ++i) order.env.push_back(fmt::format("N{}={:0>30000}", i, i));
  auto done = parked.specialise(std::move(order));
  REQUIRE_FALSE(done.has_value());
  CHECK(holds(done.error().message, "tell the parked program its environment"));
  parked.exit();
}

TEST_CASE("a parked guest ends by SIGTERM and by kill as any other") {
  NEEDS(jails_work);
  Parked parked;
  parked.instance->signal(SIGTERM);
  CHECK(parked.exit().signal == SIGTERM);
  Parked other;
  other.instance->kill();
  CHECK(other.exit().signal == SIGKILL);
}

TEST_CASE("a program that was not to be specialised is not") {
  NEEDS(jails_work);
  Jails jails;
  auto plain = jails.launch(Jails::shell("sleep 600"));
  REQUIRE(plain.has_value());
  CHECK_FALSE(jails.loop.run_until(jails.launcher->specialise(**plain, Spec{})).has_value());
  CHECK_FALSE((*plain)->has_exited());
  (*plain)->kill();
  CHECK(jails.loop.run_until((*plain)->exited(jails.soon())).has_value());
}
