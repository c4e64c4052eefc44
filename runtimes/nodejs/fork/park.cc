#include "park.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "clock.h"
#include "descriptors.h"
#include "pages.h"
#include "threads.h"

namespace mayfly::fork {
namespace {

//   stand order  offset size
//                0      4    kind: 3
//                4      4    0
//   with the descriptor where the child finds its order instead of its own fork_fd, or none. In a
//   jail the fork that follows never returns in this process: children are made of it as it stands
//   there. Elsewhere it answers with one byte, 0 or an errno.
//
//   fork order   0      4    kind: 1
//                4      4    length of the environment block
//                8      …    "KEY=value\0"…
//   with the descriptors output, channel and framed log.
constexpr std::size_t order_head_bytes = 8;
constexpr std::size_t order_bytes_max = std::size_t{256} * 1024;
constexpr int order_descriptors = 3;

constexpr std::uint32_t stand_kind = 3;
constexpr std::uint32_t fork_kind = 1;

char order[order_bytes_max];
std::size_t order_size = 0;
int received[order_descriptors];

bool generic = false;
char command_line[16 * 1024];
std::size_t command_line_size = 0;

constexpr int signals = 32;
struct sigaction former_actions[signals];

// A parked template dies of a signal whatever its init code asked for; a child gets that back.
void take_default_actions() {
  for (int number = 1; number < signals; ++number) {
    struct sigaction usual{};
    usual.sa_handler = SIG_DFL;
    ::sigaction(number, nullptr, &former_actions[number]);
    bool fault = number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
    if (fault || former_actions[number].sa_handler == SIG_DFL ||
        former_actions[number].sa_handler == SIG_IGN) {
      former_actions[number].sa_flags = -1;
      continue;
    }
    ::sigaction(number, &usual, nullptr);
  }
}
void restore_actions() {
  for (int number = 1; number < signals; ++number) {
    if (former_actions[number].sa_flags != -1) {
      ::sigaction(number, &former_actions[number], nullptr);
    }
  }
}

// False: end of file. `error` becomes what is wrong with the order, of that kind and with at least
// so many descriptors.
bool receive_order(std::uint32_t kind, int descriptors, int& error) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof received)];
  iovec part{.iov_base = order, .iov_len = sizeof order};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(fork_fd, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return false;
  error = 0;
  for (int& fd : received) fd = -1;
  const cmsghdr* rights = CMSG_FIRSTHDR(&message);
  if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(received, CMSG_DATA(rights), count * sizeof(int));
  }
  std::uint32_t head[2] = {};
  std::memcpy(head, order, sizeof head);
  order_size = static_cast<std::size_t>(got);
  bool whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
               order_size >= order_head_bytes && head[0] == kind &&
               head[1] == order_size - order_head_bytes &&
               (descriptors == 0 || received[descriptors - 1] >= 0) &&
               (head[1] == 0 || order[order_size - 1] == '\0');
  if (!whole) error = EINVAL;
  return true;
}

void close_received() {
  for (int fd : received) {
    if (fd > fork_fd) ::close(fd);
  }
}

bool take_descriptors() {
  bool good = ::dup3(received[0], 1, O_CLOEXEC) == 1 && ::dup3(received[0], 2, O_CLOEXEC) == 2 &&
              ::dup3(received[1], channel_fd, O_CLOEXEC) == channel_fd &&
              ::dup3(received[2], log_fd, O_CLOEXEC) == log_fd;
  close_received();
  ::close(fork_fd);
  return good;
}

// ---- environment --------------------------------------------------------------------------------

template <class Visit>
void each_variable(Visit visit) {
  for (const char* at = order + order_head_bytes; at < order + order_size;
       at += std::strlen(at) + 1) {
    const char* equals = std::strchr(at, '=');
    if (equals != nullptr && equals != at) visit(at, static_cast<std::size_t>(equals - at));
  }
}

// Does the interpreter, or a library below it, read this variable only while it starts?
bool read_at_start(const char* name, std::size_t length) {
  auto is = [&](const char* whole) {
    return std::strlen(whole) == length && std::strncmp(name, whole, length) == 0;
  };
  if (is("NODE_ENV") || is("NODE_TLS_REJECT_UNAUTHORIZED")) return false;
  if (is("LANG") || is("LANGUAGE")) return true;
  constexpr const char* prefixes[] = {"NODE_",    "UV_",  "LD_",     "LC_", "GLIBC_",
                                      "OPENSSL_", "SSL_", "MALLOC_", "ICU"};
  for (const char* prefix : prefixes) {
    std::size_t size = std::strlen(prefix);
    if (length >= size && std::strncmp(name, prefix, size) == 0) return true;
  }
  return false;
}

// Would an interpreter started with the order's environment differ from this one?
bool needs_own_start() {
  bool differs = false;
  int here = 0;
  int there = 0;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    const char* equals = std::strchr(*one, '=');
    if (equals != nullptr && read_at_start(*one, static_cast<std::size_t>(equals - *one))) ++here;
  }
  each_variable([&](const char* text, std::size_t length) {
    if (!read_at_start(text, length)) return;
    ++there;
    char name[128];
    if (length >= sizeof name) return;
    std::memcpy(name, text, length);
    name[length] = '\0';
    const char* present = std::getenv(name);
    differs = differs || present == nullptr || std::strcmp(present, text + length + 1) != 0;
  });
  return differs || here != there;
}

void apply_environment() {
  if (generic) ::clearenv();
  each_variable([](const char* text, std::size_t length) {
    char name[1024];
    if (length >= sizeof name) return;
    std::memcpy(name, text, length);
    name[length] = '\0';
    ::setenv(name, text + length + 1, 1);
  });
}

// The same program with the same arguments, from its beginning.
[[noreturn]] void start_anew() {
  static char* argv[256];
  int count = 0;
  for (std::size_t at = 0; at < command_line_size && count < 255;
       at += std::strlen(command_line + at) + 1) {
    argv[count++] = command_line + at;
  }
  argv[count] = nullptr;
  if (const char* root = std::getenv("LAMBDA_TASK_ROOT")) static_cast<void>(::chdir(root));
  for (int fd = 1; fd <= log_fd; ++fd) ::fcntl(fd, F_SETFD, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv("/proc/self/exe", argv);
  ::_exit(127);
}

bool read_command_line() {
  int fd = ::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : ::read(fd, command_line, sizeof command_line - 1);
  if (fd >= 0) ::close(fd);
  command_line_size = got > 0 ? static_cast<std::size_t>(got) : 0;
  return command_line_size > 0 && command_line_size < sizeof command_line - 1;
}

// Of a child: where its order will come.
void find_orders() {
  if (received[0] < 0) return;
  ::dup3(received[0], fork_fd, O_CLOEXEC);
  ::close(received[0]);
}

// Returns in each child; the parent ends with the socket.
void await_fork() {
  constexpr unsigned char parked[] = {2, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0};  // no reason
  if (::send(channel_fd, parked, sizeof parked, MSG_NOSIGNAL) != sizeof parked) ::_exit(0);
  while (true) {
    int error = 0;
    if (!receive_order(stand_kind, 0, error)) ::_exit(0);
    if (error == 0) {
      pid_t pid = fork_stopped();
      if (pid == 0) return find_orders();
      error = pid < 0 ? errno : 0;
    }
    close_received();
    auto answer = static_cast<unsigned char>(error);
    if (::send(fork_fd, &answer, 1, MSG_NOSIGNAL) != 1) ::_exit(0);
  }
}

}  // namespace

const char* park(bool whole_environment) {
  static char reason[512];
  generic = whole_environment;
  if (!read_command_line()) return "the command line cannot be read";
  if (!plan_descriptors(fork_fd + 1, reason, sizeof reason)) return reason;
  find_clock();
  if (const char* problem = stop_threads()) return problem;
  // Nothing runs in this process from here on, so that once is enough for all children.
  if (!show_heap_to_children()) {
    release_threads();
    return "its memory cannot be shown to a child";
  }
  show_program_pages_to_children();
  take_default_actions();
  await_fork();
  require(renew_descriptors(), "the descriptors of the event loop");
  restore_actions();
  revive_threads();
  return nullptr;
}

bool order_waits() {
  pollfd orders{fork_fd, POLLIN, 0};
  return ::poll(&orders, 1, 0) > 0;
}

void take_order() {
  int error = 0;
  if (!receive_order(fork_kind, order_descriptors, error)) ::_exit(0);
  require(error == 0, "its order");
  require(take_descriptors(), "its descriptors");
}

void complete() {
  if (generic) renew_clock();
  bool anew = generic && needs_own_start();
  apply_environment();
  if (anew) start_anew();
}

void require(bool good, const char* what) {
  if (good) return;
  ::dprintf(2, "mayfly: a forked environment cannot start: %s\n", what);
  ::_exit(70);
}

}  // namespace mayfly::fork
