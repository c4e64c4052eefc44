// The jail of a forked environment: below its template's, whose root it shares.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "sandbox/copy_tree.h"
#include "sandbox/fork_host.h"
#include "sandbox/fork_order.h"
#include "sandbox/fork_tracer.h"
#include "sandbox/jail.h"
#include "sandbox/namespaces.h"
#include "sandbox/protocol.h"
#include "sandbox/seccomp.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {
namespace {

Outcome await_mapping(Plan& plan) {
  char byte = 0;
  ssize_t got = ::read(plan.host, &byte, 1);
  if (got == 0) ::_exit(0);
  return got == 1 ? Outcome{} : Outcome{errno};
}

// The forks enter by this process's descriptor, for which they must be allowed to look at it.
Outcome let_forks_enter(Plan&) { return of(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }

Outcome leave_working_directory(Plan&) { return of(::chdir("/")); }

// What the init of the function left in /tmp, each environment finds in its own. The template's
// user reads it, and the new environment's writes it.
Outcome read_tmp(Plan& plan) {
  io::Fd old(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return {old ? collect_tree(old.get(), plan.tmp) : errno};
}

Outcome mount_copy_of_tmp(Plan& plan) {
  if (auto mounted = mount_tmp(plan); mounted.error != 0) return mounted;
  io::Fd fresh(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fresh) return {errno};
  int error = write_tree(fresh.get(), plan.tmp);
  plan.tmp.clear();
  return {error};
}

Outcome loopback_up(Plan&) { return {set_loopback_up() ? 0 : EIO}; }

Outcome announce(Plan& plan) {
  io::Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self) return {errno};
  std::array fds{self.get()};
  send_report(plan.control, {Report::parked, 0, 0, -1}, fds);
  return {};
}

Outcome open_listeners(Plan& plan) {
  for (std::size_t i = 0; i < plan.spec.listen_ports.size(); ++i) {
    auto fd = listen_on_loopback(plan.spec.listen_ports[i]);
    if (!fd) return {EADDRNOTAVAIL, static_cast<int>(i)};
    plan.listeners.push_back(std::move(*fd));
  }
  for (std::uint16_t i = 0; i < plan.spec.sockets; ++i) {
    auto fd = make_socket();
    if (!fd) return {EMFILE, i};
    plan.listeners.push_back(std::move(*fd));
  }
  return {};
}

Outcome have_the_template_fork(Plan& plan) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return {errno};
  plan.orders = ends[0];
  ForkAsk ask;
  ask.orders = ends[1];
  if (plan.group_tasks.size() > nested_groups_max) return {E2BIG};
  for (int fd : plan.group_tasks) ask.groups[ask.group_count++] = fd;
  int error = send_message(plan.host, {reinterpret_cast<const char*>(&ask), sizeof ask}, {});
  if (error != 0) return {error};
  ForkAnswer answer;
  ssize_t got = ::read(plan.host, &answer, sizeof answer);
  if (got == 1) {
    // Entered: from now on nobody may look into this process, the environment least of all.
    if (auto closed = no_new_privileges(plan); closed.error != 0) return closed;
    if (::write(plan.host, "c", 1) != 1) return {errno};
    got = ::read(plan.host, &answer, sizeof answer);
  }
  for (int fd : plan.group_tasks) ::close(fd);
  ::close(ends[1]);
  ::close(plan.host);
  return {got == sizeof answer ? answer.error : EPIPE};
}

Outcome order_the_fork(Plan& plan) {
  std::vector<int> fds;
  for (const auto& fd : plan.guest_ends) fds.push_back(fd.get());
  int error = send_message(plan.orders, encode(GuestOrder::fork, plan.spec.env), fds);
  plan.guest_ends.clear();
  ::close(plan.orders);
  return {error};
}

constexpr std::array steps = {
    Step{"close the host's descriptors", close_inherited},
    Step{"await the mapping of its user", await_mapping},
    Step{"join control groups", join_control_groups},
    Step{"hide control groups", hide_control_groups},
    Step{"read /tmp", read_tmp},
    Step{"become the sandbox user", become_user},
    Step{"let forks enter", let_forks_enter},
    Step{"leave the working directory", leave_working_directory},
    Step{"mount /proc", mount_proc},
    Step{"mask files of /proc", mask_proc},
    Step{"mount a copy of /tmp", mount_copy_of_tmp},
    Step{"bring loopback up", loopback_up},
    Step{"have the template fork", have_the_template_fork},
    Step{"announce that it is parked", announce},
    // All above is done ahead of demand.
    Step{"receive the order", receive_order},
    Step{"attach binds", attach_binds},
    Step{"set the host name", set_host_name},
    Step{"open listeners", open_listeners},
    Step{"order the fork", order_the_fork},
};

}  // namespace

void run_nested_jail(Plan plan) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  run_steps(steps, plan);
  std::vector<int> listeners;
  for (const auto& fd : plan.listeners) listeners.push_back(fd.get());
  send_report(plan.control, {Report::started, 0, 0, -1}, listeners);
  plan.listeners.clear();
  drop_capabilities(plan);
  load_seccomp(*plan.seccomp);
  serve_as_init(forked_pid, plan.control);
}

const char* nested_jail_step_name(int index) {
  if (index < 0 || index >= static_cast<int>(steps.size())) return "make a nested jail";
  return steps[static_cast<std::size_t>(index)].name;
}

}  // namespace mayfly::sandbox
