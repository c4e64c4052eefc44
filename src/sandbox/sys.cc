#include "sandbox/sys.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace mayfly::sandbox::sys {

pid_t clone_process(const CloneArgs& args, int& pidfd) {
  clone_args raw{};
  raw.flags = args.flags | CLONE_PIDFD;
  raw.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  raw.exit_signal = SIGCHLD;
  if (args.into_cgroup >= 0) {
    raw.flags |= CLONE_INTO_CGROUP;
    raw.cgroup = static_cast<std::uint64_t>(args.into_cgroup);
  }
  return static_cast<pid_t>(::syscall(SYS_clone3, &raw, sizeof raw));
}

int pidfd_send_signal(int pidfd, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

Result<io::Fd> open_tree(const std::string& path, Access access) {
  io::Fd tree(
      ::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree) return fail_errno(fmt::format("open_tree '{}'", path), errno);
  mount_attr attributes{};
  // Private: what the host mounts there later must not appear in a jail.
  attributes.propagation = MS_PRIVATE;
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (access == Access::read_only) attributes.attr_set |= MOUNT_ATTR_RDONLY;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                      sizeof attributes) != 0) {
    return fail_errno(fmt::format("mount_setattr '{}'", path), errno);
  }
  return tree;
}

int copy_tree_of(const char* path, io::Fd& tree) {
  tree = io::Fd(::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  return tree ? 0 : errno;
}

int attach_tree(int tree, const char* target) {
  while (*target == '/') ++target;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  io::Fd at(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, target, &how, sizeof how)));
  if (!at) return errno;
  if (::move_mount(tree, "", at.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) !=
      0) {
    return errno;
  }
  return 0;
}

int mount_read_only(const char* path) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  return ::mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof attributes) == 0 ? 0 : errno;
}

int pivot_root(const char* new_root, const char* put_old) {
  return static_cast<int>(::syscall(SYS_pivot_root, new_root, put_old));
}

Result<std::string> read_file(const std::string& path) {
  io::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno(path, errno);
  std::string out;
  std::array<char, 4096> buffer;
  while (true) {
    ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(path, errno);
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

Result<> write_file(const std::string& path, std::string_view text) {
  io::Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail_errno(path, errno);
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(path, errno);
  }
  return {};
}

}  // namespace mayfly::sandbox::sys
