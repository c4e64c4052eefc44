// What this machine lets the sandbox enforce, found by trying it in a child process.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/control_group.h"
#include "sandbox/namespaces.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"

namespace mayfly::sandbox {
namespace {

// Runs `attempt` in a child, because it changes the calling process for good. Empty: it worked.
std::string problem_of(Result<> (*attempt)()) {
  auto pipe = io::make_pipe();
  if (!pipe) return pipe.error().message;
  pid_t pid = ::fork();
  if (pid < 0) return std::strerror(errno);
  if (pid == 0) {
    auto done = attempt();
    std::string text = done ? "" : done.error().message;
    (void)!::write(pipe->write_end.get(), text.data(), text.size());
    ::_exit(0);
  }
  pipe->write_end.reset();
  std::string text;
  std::array<char, 512> buffer;
  ssize_t got = 0;
  while ((got = ::read(pipe->read_end.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (text.empty() && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) return "the trial crashed";
  return text;
}

Result<> try_namespaces() {
  TRY(enter_launcher_namespaces());
  if (::unshare(CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) != 0) {
    return fail_errno("unshare pid, ipc, uts and cgroup namespaces", errno);
  }
  return {};
}

Result<> try_network() {
  TRY(enter_launcher_namespaces());
  io::Fd own(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!own) return fail_errno("/proc/self/ns/net", errno);
  TRY(make_network_namespace(own.get()));
  return {};
}

Result<> try_users() {
  bool root = ::geteuid() == 0;
  TRY(enter_launcher_namespaces());
  unsigned outer = root ? uid_base : 0;
  TRY(make_user_namespace(outer, outer, NestedUsers::none));
  return {};
}

Result<> try_seccomp() {
  TRY_ASSIGN(auto program, compile_seccomp(FilterFor::jail));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no_new_privs", errno);
  if (int error = load_seccomp(program); error != 0) return fail_errno("seccomp", error);
  return {};
}

Capability tried(std::string name, Result<> (*attempt)(), std::string how) {
  std::string problem = problem_of(attempt);
  bool works = problem.empty();
  // Every jail takes these steps, and fails with the first that does.
  return {std::move(name), works, works ? std::move(how) : std::move(problem), true};
}

Capability limited(std::string name, const ControllerPlace& place, std::string_view otherwise) {
  if (place.version != 0) return {std::move(name), true, fmt::format("cgroup v{}", place.version)};
  return {std::move(name), false, fmt::format("{}; {}", place.why_not, otherwise)};
}

}  // namespace

std::vector<Capability> probe_capabilities() {
  bool root = ::geteuid() == 0;
  std::vector<Capability> out;
  out.push_back(tried("isolated processes and files", try_namespaces,
                      root ? "mount, pid, ipc, uts and cgroup namespaces"
                           : "the same namespaces inside a user namespace"));
  out.push_back(tried("isolated network", try_network, "a network namespace with loopback only"));
  out.push_back(tried(
      "user namespace per instance", try_users,
      root ? "a user id of its own outside, from 1900000000" : "mapped to the server's own user"));
  out.push_back({"a different user id per instance", root,
                 root ? "instances cannot touch each other's files even outside their jails"
                      : "only root can map other users: run the server as root for it"});
  out.push_back(tried("system call filter", try_seccomp, "seccomp, from resources/seccomp.inc"));
  ControlGroup groups = open_control_groups(Room::look);
  std::string_view delegate =
      root ? "run the server in a group of its own: systemd-run -p Delegate=yes"
           : "run as root, or in a delegated group: systemd-run --user -p Delegate=yes";
  out.push_back(limited("memory limit", groups.memory, delegate));
  out.push_back(limited("processor share", groups.cpu, delegate));
  Capability processes = limited("process limit", groups.processes, delegate);
  if (!processes.enforced && out[2].enforced) {
    processes = {"process limit", true, "RLIMIT_NPROC in the instance's user namespace"};
  }
  out.push_back(std::move(processes));
  Capability freezer = limited("freezing between invocations", groups.freezer, delegate);
  if (!freezer.enforced) {
    freezer = {freezer.name, true, "SIGSTOP to every process; the function could notice it"};
  }
  out.push_back(std::move(freezer));
  out.push_back(limited("processor time used", groups.accounting, delegate));
  close_control_groups(groups);
  return out;
}

}  // namespace mayfly::sandbox
