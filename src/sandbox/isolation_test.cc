// What a jailed program can see and do. tests/jail/probe.c is the attacker.
#include <map>
#include <set>
#include <sstream>

#include "sandbox/jail_fixture_test.h"

using namespace mayfly;
using namespace mayfly::sandbox;
using namespace mayfly::sandbox::testing;

namespace {

constexpr const char* jails_work = "isolated processes and files";

std::map<std::string, std::string> facts(const std::string& text) {
  std::map<std::string, std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    auto equals = line.find('=');
    if (equals != std::string::npos) out[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return out;
}

io::Task<Result<std::string>> serve_once(io::Loop& loop, io::Fd listening, Deadline deadline) {
  io::Listener listener(loop, std::move(listening));
  CO_TRY_ASSIGN(auto fd, co_await listener.accept());
  io::Stream stream(loop, std::move(fd));
  std::string got(4, '\0');
  CO_TRY(co_await stream.read_exact(got, deadline));
  CO_TRY(co_await stream.write_all("pong", deadline));
  co_return got;
}

}  // namespace

TEST_CASE("every known way out of the jail is refused") {
  NEEDS(jails_work);
  Jails jails;
  auto run = jails.run(Jails::probe({"attempts"}));
  CHECK(run.exit.code == 0);
  auto found = facts(run.output);
  CHECK(found.size() == 56);
  const std::set<std::string> refusals = {"EPERM",  "EACCES", "ENOSYS", "ENOENT", "EROFS",
                                          "EINVAL", "ESRCH",  "EBADF",  "EFAULT", "ENXIO"};
  for (const auto& [name, answer] : found) {
    INFO(name << " answered " << answer);
    // These two change nothing outside the caller.
    if (name == "unshare_files" || name == "lower_oom_score") continue;
    CHECK(refusals.contains(answer));
  }
  for (const char* filtered :
       {"mount", "umount2", "unshare_user", "unshare_mount", "setns", "ptrace_init", "ptrace_me",
        "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "open_by_handle_at"}) {
    INFO(filtered);
    CHECK(found[filtered] == "EPERM");
  }
}

TEST_CASE("the root is read-only and holds nothing of the host but its programs") {
  NEEDS(jails_work);
  Jails jails;
  auto run = jails.run(
      "for d in /root /home /srv /run /sys /boot /media /work; do test -e $d && echo has $d; "
      "done; ls / | tr '\\n' ' '; echo; ls -A /tmp | wc -l; touch /x 2>&1; touch /etc/x 2>&1; "
      "touch /opt/x 2>&1; touch /tmp/ok && echo tmp works; stat -c %a /tmp; "
      "for m in $(cut -d' ' -f2 /proc/mounts); do touch $m/x 2>/dev/null && echo wrote $m; done");
  INFO(run.output);
  CHECK(run.output.find("has ") == std::string::npos);
  CHECK(run.output.find("tmp works\n1777\n") != std::string::npos);
  CHECK(run.output.find("wrote /tmp") != std::string::npos);
  CHECK(run.output.find("wrote /usr") == std::string::npos);
  CHECK(run.output.find("wrote /proc") == std::string::npos);
  CHECK(run.output.find("wrote /\n") == std::string::npos);
  std::size_t refused = 0;
  for (std::size_t at = 0; (at = run.output.find("Read-only file system", at)) != std::string::npos;
       ++at) {
    ++refused;
  }
  CHECK(refused == 3);
}

TEST_CASE("a jail sees its own processes only and its own /tmp") {
  NEEDS(jails_work);
  Jails jails;
  auto first = jails.launch(Jails::shell("echo secret > /tmp/mine; echo ready; sleep 100"));
  REQUIRE(first.has_value());
  io::Stream output(jails.loop, (*first)->take_output());
  REQUIRE(jails.wait_for(output, "ready").starts_with("ready"));
  auto second =
      jails.run("ls /tmp; ls -d /proc/[0-9]* | wc -l; cat /tmp/mine 2>&1; kill -9 -1; echo $?");
  INFO(second.output);
  CHECK(second.output.find("secret") == std::string::npos);
  CHECK_FALSE((*first)->has_exited());
  (*first)->kill();
  CHECK(jails.loop.run_until((*first)->exited(jails.soon())).has_value());
}

TEST_CASE("no capabilities, no new privileges, a filter, and a user of its own") {
  NEEDS(jails_work);
  Jails jails;
  auto run = jails.run("grep -E '^(Cap|NoNewPrivs|Seccomp:|Uid|Gid)' /proc/self/status");
  auto has = [&](const char* text) { return run.output.find(text) != std::string::npos; };
  INFO(run.output);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    CHECK(has((std::string(set) + ":\t0000000000000000").c_str()));
  }
  CHECK(has("NoNewPrivs:\t1"));
  CHECK(has("Seccomp:\t2"));
  CHECK(has("Uid:\t993\t993\t993\t993"));
  CHECK(has("Gid:\t990\t990\t990\t990"));
}

namespace {

std::string status_line(int pid, std::string_view name) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return line;
  }
  return "";
}

// Of an init that has its filter, which is the last thing it takes, some time after the program.
std::string held_init_line(int init, std::string_view name) {
  for (int i = 0; i < 5000 && status_line(init, "Seccomp:") != "Seccomp:\t2"; ++i) ::usleep(1000);
  return status_line(init, name);
}

}  // namespace

TEST_CASE("instances have different user ids outside") {
  NEEDS("a different user id per instance");
  Jails jails;
  std::vector<std::unique_ptr<Instance>> running;
  std::set<std::string> users;
  for (int i = 0; i < 3; ++i) {
    auto instance = jails.launch(Jails::shell("sleep 100"));
    REQUIRE(instance.has_value());
    auto user = held_init_line((*instance)->host_pid(), "Uid:");
    CHECK(user.find("\t19000000") != std::string::npos);
    users.insert(user);
    running.push_back(std::move(*instance));
  }
  CHECK(users.size() == 3);
  for (auto& instance : running) {
    instance->kill();
    CHECK(jails.loop.run_until(instance->exited(jails.soon())).has_value());
  }
}

TEST_CASE("the init of a running program holds no more than it") {
  NEEDS("isolated processes and files");
  Jails jails;
  auto instance = jails.launch(Jails::shell("sleep 100"));
  REQUIRE(instance.has_value());
  int init = (*instance)->host_pid();
  CHECK(held_init_line(init, "CapEff:") == "CapEff:\t0000000000000000");
  CHECK(status_line(init, "CapBnd:") == "CapBnd:\t0000000000000000");
  CHECK(status_line(init, "NoNewPrivs:") == "NoNewPrivs:\t1");
  // That of its reports. Only root may look.
  if (::geteuid() == 0) CHECK(open_descriptors(std::to_string(init)) == 1);
  (*instance)->kill();
  CHECK(jails.loop.run_until((*instance)->exited(jails.soon())).has_value());
}

TEST_CASE("a jail made for another function's settings takes those of its own") {
  NEEDS("isolated processes and files");
  Jails jails;
  for (unsigned i = 1; i <= 4; ++i) {
    Spec spec = Jails::shell("ulimit -n; ulimit -Hn; stat -fc '%b %S' /tmp; echo $$; pwd");
    spec.limits.files = 100 * i;
    spec.limits.tmp_bytes = i * (16ull << 20);
    spec.listen_ports.assign(1, static_cast<std::uint16_t>(9000 + i));
    spec.cwd = i % 2 == 0 ? "/usr" : "/tmp";
    auto run = jails.run(std::move(spec));
    CHECK(run.output == fmt::format("{0}\n{0}\n{1} 4096\n2\n{2}\n", 100 * i, i * 4096,
                                    i % 2 == 0 ? "/usr" : "/tmp"));
  }
}

TEST_CASE("only the promised descriptors are open") {
  NEEDS(jails_work);
  Jails jails;
  auto plain = jails.run(Jails::probe({"descriptors"}));
  CHECK(plain.output == "0 1 2 \n");
  Spec spec = Jails::probe({"descriptors"});
  spec.channel = spec.framed_log = true;
  CHECK(jails.run(spec).output == "0 1 2 3 4 \n");
}

TEST_CASE("the environment, the arguments and the directory are exactly those given") {
  NEEDS(jails_work);
  Jails jails;
  Spec spec = Jails::probe({"env"});
  spec.env = {"A=1", "EMPTY=", "TEXT=two words\nand a line"};
  CHECK(jails.run(spec).output == "A=1\nEMPTY=\nTEXT=two words\nand a line\n");
  spec = Jails::shell("pwd; hostname; echo \"$1|$2\"");
  spec.argv.insert(spec.argv.end(), {"sh", "a b", ""});
  spec.cwd = "/tmp";
  spec.hostname = "169-254-1-1";
  CHECK(jails.run(spec).output == "/tmp\n169-254-1-1\na b|\n");
}

TEST_CASE("a request larger than a message arrives whole") {
  NEEDS(jails_work);
  Jails jails;
  Spec spec = Jails::probe({"env"});
  spec.env.clear();
  std::string want;
  for (int i = 0; i < 40; ++i) {
    spec.env.push_back(fmt::format("V{}={}", i, std::string(5000, 'x')));
    want += spec.env.back() + "\n";
  }
  spec.channel = true;
  CHECK(jails.run(spec).output == want);
}

TEST_CASE("loopback is the only network, and listeners given to the server work") {
  NEEDS("isolated network");
  Jails jails;
  auto alone = jails.run(Jails::probe({"network"}));
  INFO(alone.output);
  CHECK(alone.output == "interface=lo\noutside=ENETUNREACH\n");
  CHECK(jails.run(Jails::probe({"connect", "9001"})).output == "connect=ECONNREFUSED\n");

  Spec spec = Jails::probe({"connect", "9001", "ping"});
  spec.listen_ports = {9001, 4566};
  auto instance = jails.launch(spec);
  REQUIRE(instance.has_value());
  auto listeners = (*instance)->take_listeners();
  REQUIRE(listeners.size() == 2);
  auto got = jails.loop.run_until(serve_once(jails.loop, std::move(listeners[0]), jails.soon()));
  REQUIRE(got.has_value());
  CHECK(*got == "ping");
  io::Stream output(jails.loop, (*instance)->take_output());
  CHECK(jails.wait_for(output, "pong") == "reply=pong\n");
  CHECK(jails.loop.run_until((*instance)->exited(jails.soon()))->code == 0);
}

TEST_CASE("the channel is descriptor 3 and the framed log descriptor 4") {
  NEEDS(jails_work);
  Jails jails;
  Spec spec = Jails::probe({"echo"});
  spec.channel = spec.framed_log = true;
  auto instance = jails.launch(spec);
  REQUIRE(instance.has_value());
  io::Stream channel(jails.loop, (*instance)->take_channel());
  io::Stream framed(jails.loop, (*instance)->take_framed_log());
  REQUIRE(jails.loop.run_until(channel.write_all("hi", jails.soon())).has_value());
  CHECK(jails.wait_for(channel, "hi") == "hi");
  CHECK(jails.wait_for(framed, "log") == "log");
  CHECK(jails.loop.run_until((*instance)->exited(jails.soon()))->code == 0);
}

TEST_CASE("binds are read-only, also from a directory that only the server may enter") {
  NEEDS(jails_work);
  Jails jails;
  auto dir = std::filesystem::path(jails.state) / "private" / "code";
  std::filesystem::create_directories(dir);
  std::filesystem::permissions(dir.parent_path(), std::filesystem::perms::owner_all);
  std::ofstream(dir / "index.js") << "code";
  std::ofstream(dir / "layer.txt") << "layer";
  Spec spec = Jails::shell(
      "cat /var/task/index.js; cat /opt/layer/file 2>&1; touch /var/task/x 2>&1; grep -c 'ro,' "
      "/proc/mounts >/dev/null; grep ' /var/task ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1-3");
  spec.binds = {{dir, "/var/task"}, {dir / "layer.txt", "/opt/layer/file"}};
  auto run = jails.run(spec);
  INFO(run.output);
  CHECK(run.output.starts_with("codelayer"));
  CHECK(run.output.find("Read-only file system") != std::string::npos);
  CHECK(run.output.ends_with("ro,nosuid,nodev\n"));
}

TEST_CASE("what is written to stands in a directory of the jail's own, and stays") {
  NEEDS(jails_work);
  Jails jails;
  auto dir = std::filesystem::path(jails.state) / "shared";
  std::filesystem::create_directories(dir);
  std::filesystem::permissions(dir, std::filesystem::perms::all);
  Spec spec = Jails::shell(
      "cat /mnt/here/* 2>/dev/null; echo one >/mnt/here/file; mkdir /mnt/x 2>&1; ls /mnt; "
      "grep ' /mnt/here ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1-3");
  spec.binds = {{.source = dir, .target = "/mnt/here", .writable = true}};
  auto first = jails.run(spec);
  INFO(first.output);
  CHECK(first.output.find("Read-only file system") != std::string::npos);
  CHECK(first.output.find("here\nrw,nosuid,nodev\n") != std::string::npos);
  CHECK(std::filesystem::exists(dir / "file"));
  spec.id = InstanceId("again");
  CHECK(jails.run(spec).output.starts_with("one\n"));
  // No jail sees the names of another's.
  CHECK(jails.run("ls /mnt").output.empty());
}

TEST_CASE("what cannot be started says which step failed") {
  NEEDS(jails_work);
  Jails jails;
  auto launch_error = [&](Spec spec) {
    auto instance = jails.launch(std::move(spec));
    REQUIRE_FALSE(instance.has_value());
    return instance.error();
  };
  Spec spec = Jails::shell("");
#if __has_feature(thread_sanitizer)
  MESSAGE("SKIPPED a program that is not there: this sanitizer turns vfork into fork");
#else
  spec.argv = {"/no/such/program"};
  CHECK(launch_error(spec).message.find("start the program") != std::string::npos);
  CHECK(launch_error(spec).kind == ErrorKind::not_found);
  CHECK(launch_error(spec).reason == program_not_started);
  spec = Jails::shell("");
#endif
  spec.cwd = "/nowhere";
  CHECK(launch_error(spec).message.find("enter the working directory") != std::string::npos);
  CHECK(launch_error(spec).reason == working_directory_refused);
  spec = Jails::shell("");
  spec.binds = {{"/no/such/source", "/opt"}};
  CHECK(launch_error(spec).message.find("/no/such/source") != std::string::npos);
  spec.binds = {{"/etc", "opt"}};
  CHECK(launch_error(spec).kind == ErrorKind::invalid);
  spec = Jails::shell("");
  spec.argv.clear();
  CHECK(launch_error(spec).kind == ErrorKind::invalid);
  spec = Jails::shell("");
  spec.listen_ports.assign(17, 1);
  CHECK(launch_error(spec).kind == ErrorKind::too_large);
  CHECK(jails.run("echo still works").output == "still works\n");
}

namespace {

// The tree of an image that holds the probe and what jails put their own over.
std::string make_image(const std::string& dir) {
  namespace fs = std::filesystem;
  std::string root = dir + "/image";
  for (const char* name : {"proc", "dev", "tmp", "etc", "bin", "data"}) {
    fs::create_directories(root + "/" + name);
  }
  for (const char* name : {"/etc/hosts", "/etc/resolv.conf", "/data/file"}) {
    std::ofstream(root + name) << "of the image";
  }
  fs::copy_file(fs::read_symlink("/proc/self/exe").parent_path() / "jail_probe",
                root + "/bin/probe");
  fs::create_symlink("/bin/probe", root + "/bin/link");
  return root;
}

Spec in_image(const std::string& root, std::vector<std::string> arguments) {
  Spec spec = Jails::probe(std::move(arguments));
  spec.binds = {{root, std::string(root_target)}};
  spec.argv[0] = "/bin/link";
  spec.cwd = "/data";
  return spec;
}

}  // namespace

TEST_CASE("a jail with the root of an image has nothing else of the machine") {
  NEEDS(jails_work);
  Jails jails;
  std::string root = make_image(jails.state);
  auto run = jails.run(in_image(root, {"attempts"}));
  CHECK(run.exit.code == 0);
  auto found = facts(run.output);
  CHECK(found.size() == 56);
  for (const auto& [name, answer] : found) {
    INFO(name << " answered " << answer);
    if (name == "unshare_files" || name == "lower_oom_score") continue;
    CHECK(answer != "0");
    CHECK(answer != "ok");
  }
  // What was in the tree before is what is there now.
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    names.insert(entry.path().filename());
  }
  CHECK(names == std::set<std::string>{"proc", "dev", "tmp", "etc", "bin", "data"});
  CHECK(std::filesystem::is_empty(root + "/tmp"));
  CHECK(std::filesystem::is_empty(root + "/dev"));
}

TEST_CASE("an image as the root goes with no other bind and no parking") {
  NEEDS(jails_work);
  Jails jails;
  std::string root = make_image(jails.state);
  Spec bound = in_image(root, {"attempts"});
  bound.binds.push_back({"/usr", "/opt"});
  CHECK(jails.launch(std::move(bound)).error().kind == ErrorKind::invalid);
  Spec parked = in_image(root, {"attempts"});
  parked.parking = Parking::forkable;
  CHECK(jails.launch(std::move(parked)).error().kind == ErrorKind::invalid);
}

TEST_CASE("file systems are seen in an image, whether or not it has the place for them") {
  NEEDS(jails_work);
  Jails jails;
  std::string root = make_image(jails.state);
  std::filesystem::create_directories(root + "/mnt");
  std::filesystem::create_directories(root + "/data/shared");
  std::string folder = jails.state + "/folder";
  std::filesystem::create_directory(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::all);
  for (const char* place : {"/mnt/made", "/data/shared"}) {
    Spec spec = in_image(root, {"write", place});
    spec.binds.push_back({.source = folder, .target = place, .writable = true});
    auto run = jails.run(std::move(spec));
    INFO(place << ": " << run.output);
    CHECK(run.output == "written\n");
    CHECK(std::filesystem::remove(folder + "/file"));
  }
  CHECK(std::filesystem::is_empty(root + "/mnt"));
  CHECK(std::filesystem::is_empty(root + "/data/shared"));
}

TEST_CASE("a working directory that is not there is told apart from other failures") {
  NEEDS(jails_work);
  Jails jails;
  Spec spec = in_image(make_image(jails.state), {"attempts"});
  spec.cwd = "/nowhere";
  auto launched = jails.launch(std::move(spec));
  REQUIRE_FALSE(launched);
  CHECK(launched.error().reason == working_directory_refused);
}
