// Environments by fork: the jail of a fork is as closed as any other, and ends as any other.
#include <signal.h>
#include <sys/socket.h>

#include <set>
#include <sstream>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

constexpr const char* jails_work = "isolated processes and files";

// A parked template (tests/jail/template.c), and forks of it.
struct Template {
  explicit Template(const std::string& way = {}, std::uint32_t processes = 1024) {
    Spec spec = Jails::shell("");
    auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    spec.binds = {{beside / "jail_template", "/opt/template"},
                  {beside / "jail_probe", "/opt/probe"}};
    spec.argv = {"/opt/template"};
    if (!way.empty()) spec.argv.push_back(way);
    spec.env.push_back("KEPT=yes");
    spec.parking = Parking::forkable;
    spec.channel = true;
    spec.limits.processes = processes;
    auto launched = jails.launch(spec);
    REQUIRE_MESSAGE(launched.has_value(), launched.error().message);
    instance = std::move(*launched);
    output.emplace(jails.loop, instance->take_output());
    REQUIRE(jails.wait_for(*output, "parked\n") == "parked\n");
  }
  static Spec forked(const std::string& script) {
    Spec spec;
    spec.id = InstanceId("fork");
    spec.env = {"MARK=" + std::to_string(next_mark++), "RUN=" + script};
    spec.hostname = "forked-host";
    spec.channel = true;
    return spec;
  }
  io::Task<Result<Run>> run_task(Spec spec) {
    CO_TRY_ASSIGN(auto fork, jails.launcher->fork(*instance, std::move(spec)));
    CO_TRY(co_await fork->launched());
    Run out;
    out.output = co_await read_all(jails.loop, fork->take_output(), jails.soon());
    CO_TRY_ASSIGN(out.exit, co_await fork->exited(jails.soon()));
    out.stats = fork->stats();
    co_return out;
  }
  Run run(Spec spec) {
    auto done = jails.loop.run_until(run_task(std::move(spec)));
    if (!done) {
      FAIL(done.error().message);
      return {};
    }
    return *done;
  }
  Run run(const std::string& script) { return run(forked(script)); }
  Result<std::unique_ptr<Instance>> try_fork(Spec spec) {
    TRY_ASSIGN(auto fork, jails.launcher->fork(*instance, std::move(spec)));
    TRY(jails.loop.run_until(fork->launched()));
    return fork;
  }
  std::unique_ptr<Instance> fork(Spec spec) {
    auto fork = try_fork(std::move(spec));
    REQUIRE_MESSAGE(fork.has_value(), fork.error().message);
    return std::move(*fork);
  }
  void end_program() {
    instance->signal(SIGTERM);
    jails.wait_for(*output, "no such text");
  }

  Jails jails;
  std::unique_ptr<Instance> instance;
  std::optional<io::Stream> output;
  static inline int next_mark = 1;
};

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a fork has namespaces, an identity and a /tmp of its own") {
  NEEDS(jails_work);
  Template parked;
  auto run = parked.run(
      "echo pid=$$ host=$(cat /proc/sys/kernel/hostname) kept=$KEPT; id -u; "
      "cat /tmp/from-init; echo; echo more >/tmp/own; ls /tmp | tr '\\n' ' '; "
      "ls /proc | grep -c '^[0-9]'; cat /proc/self/status | grep -E '^(Cap|NoNew|Seccomp:)'; "
      "exit 7");
  INFO(run.output);
  CHECK(run.exit.code == 7);
  CHECK(holds(run.output, "host=forked-host kept=yes"));
  CHECK(holds(run.output, "\n993\n"));
  CHECK(holds(run.output, "left by init"));
  CHECK(holds(run.output, "CapPrm:\t0000000000000000"));
  CHECK(holds(run.output, "CapEff:\t0000000000000000"));
  CHECK(holds(run.output, "NoNewPrivs:\t1"));
  CHECK(holds(run.output, "Seccomp:\t2"));
}

TEST_CASE("forks of one template have nothing in common") {
  NEEDS(jails_work);
  Template parked;
  auto& loop = parked.jails.loop;
  const std::string show =
      "touch /tmp/of-$MARK; for n in user mnt pid ipc uts net; do readlink /proc/self/ns/$n; "
      "done; ls /tmp; ";
  auto first = parked.fork(Template::forked(show + "echo up; sleep 600"));
  io::Stream output(loop, first->take_output());
  auto one = parked.jails.wait_for(output, "up\n");
  auto two = parked.run(show).output;  // while the first lives: numbers of namespaces come back
  std::istringstream lines(two);
  for (std::string line; std::getline(lines, line);) {
    if (line != "from-init") CHECK_FALSE(holds(one, line + "\n"));
  }
  CHECK(std::ranges::count(two, '\n') == 9);
  first->kill();
  CHECK(loop.run_until(first->exited(parked.jails.soon())).has_value());
}

TEST_CASE("a fork may do no more than any other program") {
  NEEDS(jails_work);
  Template parked;
  auto plain = parked.jails.run(Jails::probe({"attempts"}));
  auto forked = parked.run("exec /opt/probe attempts");
  auto from = forked.output.find('\n') + 1;  // behind the mark
  auto text = forked.output.substr(from);
  // Without its tracer these two do not exist in a forkable program; they are refused either way.
  for (std::string name : {"setns", "pidfd_getfd"}) {
    auto at = text.find(name + "=ENOSYS");
    if (plain.output.find(name) == plain.output.npos) continue;
    REQUIRE(at != text.npos);
    text.replace(at + name.size() + 1, 6, "EPERM");
  }
  CHECK(text == plain.output);
}

TEST_CASE("the jails of forks are prepared ahead of demand") {
  NEEDS(jails_work);
  Template parked;
  parked.jails.launcher->keep_ready(*parked.instance, 2);
  std::set<std::string> marks;
  for (int i = 0; i < 12; ++i) {
    auto run = parked.run("exit 0");
    CHECK(run.exit.code == 0);
    marks.insert(run.output);
  }
  CHECK(marks.size() == 12);
}

TEST_CASE("forks outlive their template's program") {
  NEEDS(jails_work);
  Template parked;
  auto& loop = parked.jails.loop;
  auto fork = parked.fork(Template::forked("echo up; sleep 600"));
  io::Stream output(loop, fork->take_output());
  parked.jails.wait_for(output, "up\n");
  parked.end_program();
  CHECK_FALSE(fork->has_exited());
  CHECK_FALSE(parked.instance->has_exited());
  CHECK_FALSE(parked.try_fork(Template::forked("exit 0")).has_value());
  fork->kill();
  CHECK(loop.run_until(fork->exited(parked.jails.soon())).has_value());
  CHECK(loop.run_until(parked.instance->exited(parked.jails.soon())).has_value());
}

TEST_CASE("a fork's listeners and channel are its own") {
  NEEDS(jails_work);
  Template parked;
  Spec spec = Template::forked("exec /opt/probe connect 9001 hello");
  spec.listen_ports = {9001};
  auto& loop = parked.jails.loop;
  auto fork = parked.fork(std::move(spec));
  auto listeners = fork->take_listeners();
  REQUIRE(listeners.size() == 1);
  io::Listener listener(loop, std::move(listeners[0]));
  auto accepted = loop.run_until(listener.accept());
  REQUIRE(accepted.has_value());
  fork->kill();
  CHECK(loop.run_until(fork->exited(parked.jails.soon())).has_value());
}

TEST_CASE("a fork is held to its own memory limit") {
  NEEDS("memory limit");
  Template parked;
  Spec spec = Template::forked("sleep 0.3; exec /opt/probe eat 400");
  spec.limits.memory_bytes = 64ull << 20;
  auto run = parked.run(std::move(spec));
  INFO(run.output);
  CHECK(run.exit.out_of_memory);
  CHECK(parked.run("exit 3").exit.code == 3);  // the template is none the worse
}

TEST_CASE("killing a fork ends all of it, and nothing else") {
  NEEDS(jails_work);
  Template parked;
  auto& loop = parked.jails.loop;
  auto start = [&] {
    return parked.fork(Template::forked("sleep 600 & sleep 600 & echo up; wait"));
  };
  auto one = start();
  auto two = start();
  one->kill();
  auto exit = loop.run_until(one->exited(parked.jails.soon()));
  REQUIRE(exit.has_value());
  CHECK_FALSE(two->has_exited());
  two->kill();
  CHECK(loop.run_until(two->exited(parked.jails.soon())).has_value());
}

TEST_CASE("a template that breaks its side is given up, and nothing of its fork is left") {
  NEEDS(jails_work);
  for (std::string way : {"exit", "sleep", "writable"}) {
    CAPTURE(way);
    Template parked(way);
    auto fork = parked.try_fork(Template::forked("echo never"));
    REQUIRE_FALSE(fork.has_value());
    INFO(fork.error().message);
    CHECK(holds(fork.error().message, "have the template fork"));
    CHECK(parked.jails.loop.run_until(parked.instance->exited(parked.jails.soon())).has_value());
    CHECK(parked.jails.run("exit 4").exit.code == 4);
  }
}

TEST_CASE("a template with as many processes below it as it may have ends, and its forks go on") {
  NEEDS(jails_work);
  Template parked({}, 16);
  std::vector<std::unique_ptr<Instance>> forks;
  while (forks.size() < 17) {
    auto fork = parked.try_fork(Template::forked("sleep 600"));
    if (!fork) break;
    forks.push_back(std::move(*fork));
  }
  CHECK(forks.size() > 1);
  CHECK(forks.size() < 17);
  CHECK_FALSE(forks.front()->has_exited());
  for (auto& fork : forks) {
    fork->kill();
    CHECK(parked.jails.loop.run_until(fork->exited(parked.jails.soon())).has_value());
  }
  CHECK(parked.jails.loop.run_until(parked.instance->exited(parked.jails.soon())).has_value());
}

TEST_CASE("many forks at one time, some of them killed while they are being made") {
  NEEDS(jails_work);
  Template parked;
  std::vector<std::unique_ptr<Instance>> forks;
  for (int i = 0; i < 24; ++i) {
    auto fork = parked.jails.launcher->fork(*parked.instance, Template::forked("sleep 600"));
    REQUIRE(fork.has_value());
    if (i % 3 == 0) (*fork)->kill();
    forks.push_back(std::move(*fork));
  }
  for (auto& fork : forks) {
    fork->kill();
    CHECK(parked.jails.loop.run_until(fork->exited(parked.jails.soon())).has_value());
  }
  CHECK(parked.run("exit 5").exit.code == 5);
}
