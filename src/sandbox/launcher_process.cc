// The launcher as a process of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "sandbox/launcher.h"

namespace mayfly::sandbox {
namespace {

[[noreturn]] void be_launcher(io::Fd socket, const std::string& template_dir) {
  // Signals of the server's terminal or supervisor are the server's business.
  ::setsid();
  ::prctl(PR_SET_NAME, "mayfly-launcher", 0, 0, 0);
  int at_three = ::dup3(socket.get(), 1000, O_CLOEXEC) >= 0 ? 1000 : socket.get();
  if (at_three != socket.get()) socket = io::Fd(at_three);
  ::syscall(SYS_close_range, 3, static_cast<unsigned>(at_three - 1), 0);
  ::syscall(SYS_close_range, static_cast<unsigned>(at_three + 1), ~0U, 0);
  int status = LauncherLoop(std::move(socket), template_dir).run();
  ::_exit(status);
}

}  // namespace

Result<LauncherProcess> fork_launcher(const std::string& state_dir) {
  std::error_code error;
  auto dir = std::filesystem::absolute(state_dir, error) / "jail-root";
  std::filesystem::create_directories(dir, error);
  if (error) return fail_errno(fmt::format("cannot make {}", dir.string()), error.value());
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno("socketpair", errno);
  }
  io::Fd ours(ends[0]);
  io::Fd theirs(ends[1]);
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) {
    ours.reset();
    be_launcher(std::move(theirs), dir.string());
  }
  return LauncherProcess{pid, std::move(ours)};
}

}  // namespace mayfly::sandbox
