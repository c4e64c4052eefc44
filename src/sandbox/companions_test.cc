// Jails with several processes: companions before the program, each with an end of its own.
#include <signal.h>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

constexpr const char* jails_work = "isolated processes and files";

Companion companion(const std::string& script) {
  return {.argv = {"/bin/sh", "-c", script}, .env = {"PATH=/usr/bin:/bin", "OWN=yes"}};
}

Spec with(std::vector<Companion> companions, const std::string& program) {
  Spec spec = Jails::shell(program);
  spec.companions = std::move(companions);
  return spec;
}

ProcessEnd next_end(Jails& jails, Instance& instance) {
  auto end = jails.loop.run_until(instance.next_end({}));
  REQUIRE_MESSAGE(end.has_value(), (end ? "" : end.error().message));
  return *end;
}

}  // namespace

TEST_CASE("companions start before the program, which waits to be started") {
  NEEDS(jails_work);
  Jails jails;
  auto spec = with({companion("echo up $OWN; touch /tmp/up; read line < /dev/stdin; exit 4")},
                   "test -e /tmp/up && echo program after companion");
  auto made = jails.launch(spec);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  Instance& instance = **made;
  io::Stream companions(jails.loop, instance.take_companion_output());
  CHECK(jails.wait_for(companions, "up yes\n") == "up yes\n");
  auto end = next_end(jails, instance);
  CHECK(end.companion == 0);
  CHECK(end.exit.code == 4);
  CHECK(end.error == 0);
  CHECK_FALSE(instance.has_exited());
  io::Stream output(jails.loop, instance.take_output());
  instance.start_program();
  CHECK(jails.wait_for(output, "\n") == "program after companion\n");
  CHECK(next_end(jails, instance).companion == -1);
  auto exit = jails.loop.run_until(instance.exited(jails.soon()));
  REQUIRE(exit);
  CHECK(exit->code == 0);
}

TEST_CASE("the jail outlasts its program while a companion runs") {
  NEEDS(jails_work);
  Jails jails;
  auto made = jails.launch(with({companion("echo here; exec sleep 1000")}, "exec sleep 1000"));
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  Instance& instance = **made;
  io::Stream companions(jails.loop, instance.take_companion_output());
  jails.wait_for(companions, "here\n");
  instance.start_program();
  SUBCASE("ended by SIGTERM") { instance.signal(SIGTERM); }
  SUBCASE("killed") { instance.kill_program(); }
  auto end = next_end(jails, instance);
  CHECK(end.companion == -1);
  CHECK((end.exit.signal == SIGTERM || end.exit.signal == SIGKILL));
  CHECK_FALSE(instance.has_exited());
  instance.kill();
  REQUIRE(jails.loop.run_until(instance.exited(jails.soon())));
  CHECK_FALSE(jails.loop.run_until(instance.next_end({})).has_value());
}

TEST_CASE("what cannot be executed is told, and the others run") {
  NEEDS(jails_work);
#if __has_feature(thread_sanitizer)
  MESSAGE("SKIPPED: this sanitizer turns vfork into fork, and the error of the exec is not seen");
  return;
#endif
  Jails jails;
  Companion absent{.argv = {"/opt/absent"}, .env = {}};
  Companion no_program{.argv = {"/etc/hosts"}, .env = {}};
  auto made = jails.launch(with({absent, no_program, companion("exit 0")}, "exit 3"));
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  auto first = next_end(jails, **made);
  CHECK(first.companion == 0);
  CHECK(first.error == ENOENT);
  auto second = next_end(jails, **made);
  CHECK(second.companion == 1);
  CHECK(second.error == EACCES);
  CHECK(next_end(jails, **made).companion == 2);
  (*made)->start_program();
  auto program = next_end(jails, **made);
  CHECK(program.companion == -1);
  CHECK(program.exit.code == 3);
  CHECK(jails.loop.run_until((*made)->exited(jails.soon()))->code == 3);
}

TEST_CASE("a program that cannot be executed is told after its companions started") {
  NEEDS(jails_work);
#if __has_feature(thread_sanitizer)
  MESSAGE("SKIPPED: this sanitizer turns vfork into fork, and the error of the exec is not seen");
  return;
#endif
  Jails jails;
  auto spec = with({companion("exec sleep 1000")}, "");
  spec.argv = {"/opt/absent"};
  auto made = jails.launch(spec);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  (*made)->start_program();
  auto end = next_end(jails, **made);
  CHECK(end.companion == -1);
  CHECK(end.error == ENOENT);
  (*made)->kill();
  REQUIRE(jails.loop.run_until((*made)->exited(jails.soon())));
}

TEST_CASE("companions have no descriptors of the program's") {
  NEEDS(jails_work);
  Jails jails;
  auto spec = with(
      {companion("for f in /proc/$$/fd/*; do echo -n ${f##*/}' '; done; echo; exec sleep 1000")},
      "exit 0");
  spec.channel = spec.framed_log = true;
  auto made = jails.launch(spec);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  io::Stream companions(jails.loop, (*made)->take_companion_output());
  // The shell has 0, 1, 2 and what it reads the folder by.
  auto shown = jails.wait_for(companions, "\n");
  CHECK(shown.starts_with("0 1 2"));
  CHECK(shown.find('4') == std::string::npos);
  (*made)->kill();
  REQUIRE(jails.loop.run_until((*made)->exited(jails.soon())));
}

TEST_CASE("a socket of the jail's network reaches what listens inside, again and again") {
  NEEDS(jails_work);
  if (!std::filesystem::exists("/usr/bin/python3")) return;
  Jails jails;
  auto spec = Jails::shell(
      "exec /usr/bin/python3 -c \"\n"
      "import socket\n"
      "s = socket.create_server(('sandbox.localdomain', 8080))\n"
      "print('listening', flush=True)\n"
      "for i in range(3):\n"
      "    c, _ = s.accept()\n"
      "    print('got', i, c.recv(100).decode(), flush=True)\n"
      "    c.close()\n\"");
  spec.listen_ports = {9001};
  spec.sockets = 2;
  auto made = jails.launch(spec);
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  auto ends = (*made)->take_listeners();
  REQUIRE(ends.size() == 3);
  io::Stream output(jails.loop, (*made)->take_output());
  // Nobody listens yet, or already: a failure does not spoil the socket.
  (void)jails.loop.run_until(io::connect_over(jails.loop, ends[1], 8081, jails.soon()));
  jails.wait_for(output, "listening\n");
  for (int i = 0; i < 3; ++i) {
    auto fd = jails.loop.run_until(
        io::connect_over(jails.loop, ends[i == 2 ? 2 : 1], 8080, jails.soon()));
    REQUIRE_MESSAGE(fd.has_value(), (fd ? "" : fd.error().message));
    io::Stream stream(jails.loop, std::move(*fd));
    REQUIRE(jails.loop.run_until(stream.write_all("hello", jails.soon())));
    auto line = fmt::format("got {} hello\n", i);
    CHECK(jails.wait_for(output, line) == line);
  }
  REQUIRE(jails.loop.run_until((*made)->exited(jails.soon())));
}
