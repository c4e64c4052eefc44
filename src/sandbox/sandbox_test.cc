#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

TEST_CASE("a program runs in a jail, prints and ends with its status") {
  Jails jails;
  auto run = jails.run("echo hello; id; exit 7");
  INFO(run.output);
  CHECK(run.output.starts_with("hello\nuid=993(sbx_user1051) gid=990(sbx_user1051)"));
  CHECK(run.exit.code == 7);
  CHECK(run.exit.signal == 0);
}

TEST_CASE("kill ends a jail") {
  Jails jails;
  auto instance = jails.launch(Jails::shell("sleep 1000"));
  REQUIRE(instance.has_value());
  (*instance)->kill();
  auto exit = jails.loop.run_until((*instance)->exited(jails.soon()));
  REQUIRE(exit.has_value());
  CHECK(exit->code == -1);
  CHECK(exit->signal == 9);
}

TEST_CASE("the machine's capabilities are named, each with its means or its reason") {
  auto all = probe_capabilities();
  CHECK(all.size() == 10);
  for (const auto& capability : all) {
    MESSAGE(capability.name << ": " << std::string(capability.enforced ? "yes" : "NO") << ", "
                            << capability.how);
    CHECK_FALSE(capability.name.empty());
    CHECK_FALSE(capability.how.empty());
  }
}
