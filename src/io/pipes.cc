#include "io/pipes.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mayfly::io {
namespace {

constexpr std::size_t descriptors_max = 4;

void make_non_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

PipeReader::PipeReader(Loop& loop, Fd fd, Sink& sink)
    : loop_(loop), fd_(std::move(fd)), sink_(sink) {
  make_non_blocking(fd_.get());
  [[maybe_unused]] auto added = loop_.add_fd(fd_.get(), *this, Loop::Interest::bytes);
}

PipeReader::~PipeReader() { loop_.remove_fd(fd_.get(), *this); }

void PipeReader::on_events(std::uint32_t) { pull(); }

void PipeReader::pull() {
  std::array<char, 64 * 1024> chunk;
  while (true) {
    ssize_t got = ::read(fd_.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;  // nothing more now, or at all
    sink_.on_pipe_bytes({chunk.data(), static_cast<std::size_t>(got)});
    // A short read has emptied the pipe: what comes later is a new edge.
    if (static_cast<std::size_t>(got) < chunk.size()) return;
  }
}

Result<std::pair<RecordPipe, Fd>> RecordPipe::make() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_DIRECT) != 0) return fail_errno("pipe2", errno);
  Fd theirs(ends[0]);
  Fd ours(ends[1]);
  make_non_blocking(ours.get());
  // Opened anew, so that it can be non-blocking while the peer's blocks.
  auto path = fmt::format("/proc/self/fd/{}", theirs.get());
  Fd again(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!again) return fail_errno("open of a pipe's end", errno);
  return std::pair(RecordPipe(std::move(ours), std::move(again)), std::move(theirs));
}

bool RecordPipe::put(std::string_view record) {
  ssize_t put = -1;
  do {
    put = ::write(write_end_.get(), record.data(), record.size());
  } while (put < 0 && errno == EINTR);
  return put == static_cast<ssize_t>(record.size());
}

std::string_view RecordPipe::take_back(std::span<char> into) {
  ssize_t got = -1;
  do {
    got = ::read(read_end_.get(), into.data(), into.size());
  } while (got < 0 && errno == EINTR);
  return {into.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

Result<> send_descriptors(int socket, std::span<const int> descriptors) {
  if (descriptors.size() > descriptors_max) {
    return fail(ErrorKind::invalid, "too many descriptors for one message");
  }
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * descriptors_max)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
  while (::sendmsg(socket, &message, MSG_NOSIGNAL) != 1) {
    if (errno != EINTR) return fail_errno("sendmsg", errno);
  }
  return {};
}

}  // namespace mayfly::io
