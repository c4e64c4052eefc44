#include "sandbox/launcher_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <cerrno>
#include <fstream>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

TEST_CASE("the launcher maps what it needs, and nobody can write to its program") {
  if (launcher_program().empty()) {
    MESSAGE("SKIPPED: under the sanitizers the launcher is no program of its own");
    return;
  }
  Jails jails;
  // Once it makes jails it has begun.
  jails.run("exit 0");
  auto process = "/proc/" + std::to_string(jails.launcher_pid);
  std::ifstream maps(process + "/maps");
  int libraries = 0;
  bool of_the_server = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.contains(".so") && line.contains("r-xp")) ++libraries;
    of_the_server = of_the_server || line.contains("libsqlite") || line.contains("libssl");
  }
  CHECK(libraries > 0);
  CHECK(libraries <= 8);
  CHECK_FALSE(of_the_server);
  int file = ::open((process + "/exe").c_str(), O_WRONLY | O_CLOEXEC);
  int error = errno;
  CHECK(file < 0);
  CHECK((error == EPERM || error == ETXTBSY));
  if (file >= 0) ::close(file);
  CHECK(::fcntl(io::Fd(::open((process + "/exe").c_str(), O_RDONLY | O_CLOEXEC)).get(),
                F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
}

TEST_CASE("a launcher that cannot be executed is an error of each start") {
  std::string state = Jails::make_dir();
  SystemClock clock;
  io::Loop loop(clock);
  auto process = fork_launcher(state, "no program");
  REQUIRE(process.has_value());
  auto launcher = attach_launcher(loop, std::move(*process));
  auto launched = loop.run_until(launcher->launch(Jails::shell("exit 0")));
  REQUIRE_FALSE(launched.has_value());
  CHECK(launched.error().kind == ErrorKind::unavailable);
  loop.run_until(launcher->close());
  std::filesystem::remove_all(state);
}

}  // namespace
