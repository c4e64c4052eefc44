#include "sandbox/evidence.h"

#include <signal.h>
#include <unistd.h>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

// Asks until the evidence shows what is expected, or for some seconds.
Evidence evidence_of(Instance& instance, const std::function<bool(const Evidence&)>& expected) {
  Evidence out;
  for (int tries = 0; tries < 500; ++tries) {
    out = instance.evidence();
    if (expected(out)) return out;
    ::usleep(10'000);
  }
  return out;
}

const ThreadEvidence* waiting_thread(const Evidence& evidence, std::string_view call) {
  for (const auto& process : evidence.processes) {
    for (const auto& thread : process.threads) {
      if (thread.waits_in == call) return &thread;
    }
  }
  return nullptr;
}

}  // namespace

TEST_CASE("what waits in a jail is seen with its system call and where it stands") {
  Jails jails;
  auto instance = jails.launch(Jails::shell("exec 8>/tmp/kept; sleep 1000"));
  REQUIRE(instance.has_value());
  auto sleeping = [](const Evidence& evidence) {
    const auto* thread = waiting_thread(evidence, "clock_nanosleep");
    return thread ? thread : waiting_thread(evidence, "nanosleep");
  };
  auto kept = [](const Evidence& evidence) {
    return std::ranges::any_of(evidence.processes, [](const auto& process) {
      return std::ranges::count(process.files, "/tmp/kept") > 0;
    });
  };
  // A process that starts just then may be seen in part.
  auto found = evidence_of(**instance, [&](const Evidence& evidence) {
    const auto* thread = sleeping(evidence);
    return thread && thread->at.find("+0x") != std::string::npos && kept(evidence);
  });
  const auto* thread = sleeping(found);
  REQUIRE(thread);
  CHECK(thread->state == 'S');
  CHECK(thread->at.find("+0x") != std::string::npos);
  CHECK(thread->id > 0);
  CHECK(thread->id < 100);  // the jail's own numbers
  for (const auto& process : found.processes) CHECK(process.resident_bytes > 0);
  CHECK(kept(found));
  (*instance)->kill();
  REQUIRE(jails.loop.run_until((*instance)->exited(jails.soon())));
  CHECK((*instance)->evidence().processes.empty());
}

TEST_CASE("only who has a handler is asked, and nobody dies of it") {
  Jails jails;
  auto instance = jails.launch(Jails::shell("trap 'echo asked' QUIT; while :; do :; done"));
  REQUIRE(instance.has_value());
  auto found = evidence_of(**instance, [](const Evidence& evidence) {
    return !evidence.processes.empty() && evidence.processes[0].catches(SIGQUIT);
  });
  CHECK((*instance)->ask_for_stacks(found) == 1);
  CHECK(found.processes[0].threads.at(0).state == 'R');
  CHECK_FALSE((*instance)->has_exited());
  (*instance)->kill();
  REQUIRE(jails.loop.run_until((*instance)->exited(jails.soon())));

  auto plain = jails.launch(Jails::shell("sleep 1000"));
  REQUIRE(plain.has_value());
  auto other =
      evidence_of(**plain, [](const Evidence& evidence) { return evidence.processes.size() == 1; });
  CHECK((*plain)->ask_for_stacks(other) == 0);
  (*plain)->kill();
  REQUIRE(jails.loop.run_until((*plain)->exited(jails.soon())));
}
