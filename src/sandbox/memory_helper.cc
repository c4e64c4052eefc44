#include "sandbox/memory_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/memory_threshold.h"
#include "sandbox/protocol.h"

namespace mayfly::sandbox {
namespace {

using What = MemoryOrder::What;

struct OrderHead {
  What what = What::arm;
  std::uint32_t none = 0;
  std::uint64_t jail = 0;
  std::uint64_t limit_bytes = 0;
};
static_assert(sizeof(OrderHead) == 24);

struct AnswerWire {
  What what = What::arm;
  std::uint32_t done = 0;
  std::uint64_t jail = 0;
};
static_assert(sizeof(AnswerWire) == 16);

bool carry_out(const OrderHead& head, const std::string& dir, const std::vector<io::Fd>& fds) {
  switch (head.what) {
    case What::arm: return fds.size() == 1 && arm_threshold(dir, head.limit_bytes, fds[0].get());
    case What::squeeze: return squeeze(dir, head.limit_bytes);
    case What::lower: return lower_limit(dir, head.limit_bytes);
    case What::kill: return kill_until_lowered(dir, head.limit_bytes);
  }
  return false;
}

// Keeps nothing of the launcher's but its end of the socket: ends of jails' pipes among it would be
// held open.
int keep_only(io::Fd socket) {
  constexpr int place = 3;
  ::dup2(socket.get(), place);
  int null = ::open("/dev/null", O_RDWR);
  if (null < 0) ::_exit(1);
  for (int standard : {0, 1, 2}) ::dup2(null, standard);
  ::syscall(SYS_close_range, place + 1, ~0U, 0);
  (void)socket.release();
  return place;
}

[[noreturn]] void be_helper(io::Fd theirs, pid_t launcher) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != launcher) ::_exit(0);
  ::prctl(PR_SET_NAME, "mayfly-memory", 0, 0, 0);
  int socket = keep_only(std::move(theirs));
  Message message;
  while (receive_message(socket, message) == 0) {
    OrderHead head;
    if (message.bytes.size() <= sizeof head) continue;
    std::memcpy(&head, message.bytes.data(), sizeof head);
    AnswerWire answer{head.what, 0, head.jail};
    answer.done = carry_out(head, message.bytes.substr(sizeof head), message.fds) ? 1 : 0;
    message.fds.clear();
    std::string_view bytes(reinterpret_cast<const char*>(&answer), sizeof answer);
    if (send_message(socket, bytes, {}) != 0) break;
  }
  ::_exit(0);
}

}  // namespace

MemoryHelper::~MemoryHelper() {
  if (socket_) lose();
}

Result<> MemoryHelper::start() {
  if (socket_) return {};
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno("socketpair", errno);
  }
  io::Fd ours(ends[0]);
  io::Fd theirs(ends[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  pid_t launcher = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) be_helper(std::move(theirs), launcher);
  socket_ = std::move(ours);
  pid_ = pid;
  if (!current_) send_next(-1);
  return {};
}

bool MemoryHelper::has_order_of(std::uint64_t jail) const {
  return works_on(jail) ||
         std::ranges::any_of(queue_, [jail](const auto& order) { return order.jail == jail; });
}

void MemoryHelper::ask(MemoryOrder order, int eventfd) {
  queue_.push_back(std::move(order));
  if (!current_) send_next(eventfd);
}

// A failure to send is the helper's end, which an input event tells of as well.
void MemoryHelper::send_next(int eventfd) {
  if (queue_.empty()) return;
  current_ = std::move(queue_.front());
  queue_.pop_front();
  OrderHead head{current_->what, 0, current_->jail, current_->limit_bytes};
  std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
  bytes += current_->dir;
  std::vector<int> fds;
  if (eventfd >= 0) fds.push_back(eventfd);
  if (socket_) (void)send_message(socket_.get(), bytes, fds);
}

void MemoryHelper::forget(std::uint64_t jail) {
  std::erase_if(queue_, [jail](const MemoryOrder& order) { return order.jail == jail; });
}

std::optional<MemoryAnswer> MemoryHelper::take() {
  Message message;
  int error = socket_ ? receive_message(socket_.get(), message) : EPIPE;
  if (error == EAGAIN) return std::nullopt;
  if (error != 0) return lose();
  AnswerWire wire;
  if (message.bytes.size() != sizeof wire || !current_) return std::nullopt;
  std::memcpy(&wire, message.bytes.data(), sizeof wire);
  current_.reset();
  send_next(-1);
  return MemoryAnswer{wire.what, wire.jail, wire.done != 0, false};
}

// What waits behind it is kept for the next one.
MemoryAnswer MemoryHelper::lose() {
  socket_.reset();
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_ = -1;
  MemoryAnswer out{.lost = true};
  if (current_) {
    out.what = current_->what;
    out.jail = current_->jail;
  }
  current_.reset();
  return out;
}

}  // namespace mayfly::sandbox
