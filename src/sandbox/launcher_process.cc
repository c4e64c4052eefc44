// The launcher as a process of its own.
#include "sandbox/launcher_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/log.h"
#include "sandbox/launcher.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox {
namespace {

constexpr unsigned memfd_exec = 0x10;  // MFD_EXEC: Linux 6.3; older ones refuse it

[[noreturn]] void be_launcher(io::Fd socket, const std::string& template_dir) {
  // Signals of the server's terminal or supervisor are the server's business.
  ::setsid();
  ::prctl(PR_SET_NAME, "mayfly-launcher", 0, 0, 0);
  int kept = ::dup3(socket.get(), 1000, O_CLOEXEC) >= 0 ? 1000 : socket.get();
  if (kept != socket.get()) socket = io::Fd(kept);
  ::syscall(SYS_close_range, 3, static_cast<unsigned>(kept - 1), 0);
  ::syscall(SYS_close_range, static_cast<unsigned>(kept + 1), ~0U, 0);
  int status = LauncherLoop(std::move(socket), template_dir).run();
  ::_exit(status);
}

// Sealed: who is in a jail finds it as /proc/1/exe.
Result<io::Fd> put_into_memory(std::span<const char> program) {
  constexpr const char* name = "mayfly-launcher";
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  io::Fd file(::memfd_create(name, flags | memfd_exec));
  if (!file && errno == EINVAL) file = io::Fd(::memfd_create(name, flags));
  if (!file) return fail_errno("the launcher's memory (sysctl vm.memfd_noexec?)", errno);
  while (!program.empty()) {
    ssize_t put = ::write(file.get(), program.data(), program.size());
    if (put < 0) return fail_errno("write the launcher to memory", errno);
    program = program.subspan(static_cast<std::size_t>(put));
  }
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(file.get(), F_ADD_SEALS, seals) != 0) {
    return fail_errno("seal the launcher's memory", errno);
  }
  return file;
}

[[noreturn]] void execute_launcher(const io::Fd& file, const io::Fd& socket, std::string dir) {
  std::string name = "mayfly-launcher";
  auto number = std::to_string(socket.get());
  auto [threshold, format] = log::settings();
  auto level = std::to_string(static_cast<int>(threshold));
  auto form = std::to_string(static_cast<int>(format));
  std::array<char*, 6> arguments{name.data(),  number.data(), dir.data(),
                                 level.data(), form.data(),   nullptr};
  ::fcntl(socket.get(), F_SETFD, 0);
  ::fexecve(file.get(), arguments.data(), environ);
  log::error("sandbox", "the launcher cannot be executed: {}", std::strerror(errno));
  ::_exit(127);
}

}  // namespace

Result<LauncherProcess> fork_launcher(const std::string& state_dir, std::span<const char> program) {
  std::error_code error;
  auto dir = std::filesystem::absolute(state_dir, error) / "jail-root";
  std::filesystem::create_directories(dir, error);
  if (error) return fail_errno(fmt::format("cannot make {}", dir.string()), error.value());
  io::Fd file;
  if (!program.empty()) {
    TRY_ASSIGN(file, put_into_memory(program));
  }
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
    if (file) execute_launcher(file, theirs, dir.string());
    be_launcher(std::move(theirs), dir.string());
  }
  return LauncherProcess{pid, std::move(ours)};
}

int launcher_main(std::span<char* const> arguments) {
  if (arguments.size() != 5) return 2;
  auto number = [&](std::size_t i) {
    return static_cast<int>(std::strtol(arguments[i], nullptr, 10));
  };
  log::configure(static_cast<log::Level>(number(3)), static_cast<log::Format>(number(4)));
  be_launcher(io::Fd(number(1)), arguments[2]);
}

}  // namespace mayfly::sandbox
