#include "sandbox/namespaces.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sandbox/sys.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {
namespace {

Result<> write_maps(pid_t pid, const std::string& uid_map, const std::string& gid_map,
                    bool deny_setgroups) {
  std::string dir = fmt::format("/proc/{}", pid);
  if (deny_setgroups) TRY(sys::write_file(dir + "/setgroups", "deny"));
  TRY(sys::write_file(dir + "/uid_map", uid_map));
  TRY(sys::write_file(dir + "/gid_map", gid_map));
  return {};
}

}  // namespace

Result<> set_loopback_up() {
  io::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket", errno);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("loopback up", errno);
  return {};
}

Result<io::Fd> listen_on_loopback(std::uint16_t port) {
  io::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket", errno);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // Ports of listeners that were shut down are free with it alone.
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(fmt::format("bind 127.0.0.1:{} in the jail", port), errno);
  }
  if (::listen(fd.get(), 1024) != 0) return fail_errno("listen", errno);
  return fd;
}

Result<io::Fd> make_socket() {
  io::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket", errno);
  return fd;
}

Result<io::Fd> make_user_namespace(unsigned outer_uid, unsigned outer_gid, NestedUsers nested) {
  pid_t launcher = ::getpid();
  int pidfd = -1;
  pid_t pid = sys::clone_process({.flags = CLONE_NEWUSER}, pidfd);
  if (pid < 0) return fail_errno("clone into a user namespace", errno);
  if (pid == 0) {
    // Lives only until its namespace has been opened, and not longer than the launcher.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != launcher) ::_exit(0);
    while (true) ::pause();
  }
  io::Fd child(pidfd);
  std::string more;
  if (nested == NestedUsers::mapped) {
    more = fmt::format("\n{} {} {}", nested_uid_inside, nested_uid_base, limits::sandbox_jails);
  }
  auto mapped = write_maps(pid, fmt::format("{} {} 1{}", jail_uid, outer_uid, more),
                           fmt::format("{} {} 1{}", jail_gid, outer_gid, more), false);
  io::Fd user(::open(fmt::format("/proc/{}/ns/user", pid).c_str(), O_RDONLY | O_CLOEXEC));
  int error = errno;
  sys::pidfd_send_signal(child.get(), SIGKILL);
  ::waitpid(pid, nullptr, 0);
  TRY(mapped);
  if (!user) return fail_errno("open the user namespace", error);
  return user;
}

Result<> enter_launcher_namespaces() {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  if (uid == 0) {
    if (::unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) {
      return fail_errno("unshare mount and network namespaces", errno);
    }
  } else {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) != 0) {
      return fail_errno(
          "unshare user, mount and network namespaces (not root; are unprivileged user "
          "namespaces allowed?)",
          errno);
    }
    TRY(write_maps(::getpid(), fmt::format("0 {} 1", uid), fmt::format("0 {} 1", gid), true));
  }
  // Slave: what the host mounts later can be bound, and nothing of ours reaches the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return fail_errno("keep mounts from the host", errno);
  }
  return {};
}

Result<io::Fd> make_network_namespace(int own) {
  if (::unshare(CLONE_NEWNET) != 0) return fail_errno("unshare the network namespace", errno);
  auto up = set_loopback_up();
  io::Fd network(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  int error = errno;
  if (::setns(own, CLONE_NEWNET) != 0) return fail_errno("return to the network namespace", errno);
  TRY(up);
  if (!network) return fail_errno("open the network namespace", error);
  return network;
}

Result<std::vector<io::Fd>> listen_inside(int network, int own,
                                          const std::vector<std::uint16_t>& ports,
                                          std::uint16_t sockets) {
  std::vector<io::Fd> out;
  if (ports.empty() && sockets == 0) return out;
  if (::setns(network, CLONE_NEWNET) != 0) return fail_errno("enter the network namespace", errno);
  Result<> problem;
  for (std::size_t i = 0; i < ports.size() + sockets; ++i) {
    auto fd = i < ports.size() ? listen_on_loopback(ports[i]) : make_socket();
    if (!fd) {
      problem = std::unexpected(fd.error());
      break;
    }
    out.push_back(std::move(*fd));
  }
  if (::setns(own, CLONE_NEWNET) != 0) return fail_errno("return to the network namespace", errno);
  TRY(problem);
  return out;
}

}  // namespace mayfly::sandbox
