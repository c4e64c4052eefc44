#include "io/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mayfly::io {

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

FdWatch::FdWatch(Loop& loop, int fd) : loop_(loop), fd_(fd), readers_(loop), writers_(loop) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  // A descriptor that epoll refuses (a regular file) is always ready: waits end at once.
  if (!loop_.add_fd(fd_, *this, Loop::Interest::bytes)) can_read_ = can_write_ = always_ = true;
}

FdWatch::~FdWatch() { loop_.remove_fd(fd_, *this); }

void FdWatch::on_events(std::uint32_t events) {
  // The end may be told of together with the last bytes, and then not again.
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) always_ = true;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    can_read_ = true;
    readers_.wake_all();
  }
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
    can_write_ = true;
    writers_.wake_all();
  }
  if ((events & (EPOLLHUP | EPOLLERR)) && on_hangup_) on_hangup_();
}

Task<Wake> FdWatch::readable(Deadline deadline, std::stop_token stop) {
  while (!can_read_) {
    if (cancelled_) co_return Wake::cancelled;
    Wake wake = co_await readers_.park(deadline, stop);
    if (wake != Wake::notified) co_return wake;
  }
  can_read_ = false;
  co_return cancelled_ ? Wake::cancelled : Wake::notified;
}

Task<Wake> FdWatch::writable(Deadline deadline, std::stop_token stop) {
  while (!can_write_) {
    if (cancelled_) co_return Wake::cancelled;
    if (!std::exchange(wants_room_, true)) loop_.want_room(fd_, *this);
    Wake wake = co_await writers_.park(deadline, stop);
    if (wake != Wake::notified) co_return wake;
  }
  can_write_ = false;
  co_return cancelled_ ? Wake::cancelled : Wake::notified;
}

void FdWatch::cancel() {
  cancelled_ = true;
  readers_.wake_all(Wake::cancelled);
  writers_.wake_all(Wake::cancelled);
}

Stream::Stream(Loop& loop, Fd fd) : fd_(std::move(fd)), watch_(loop, fd_.get()) {}

Result<std::optional<std::size_t>> Stream::read_some(std::span<char> into) {
  while (true) {
    ssize_t got = ::read(fd_.get(), into.data(), into.size());
    if (got >= 0) {
      more_ = got == 0 || static_cast<std::size_t>(got) == into.size();
      return static_cast<std::size_t>(got);
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      more_ = false;
      return std::nullopt;
    }
    // A peer that resets has ended the stream, as far as a reader is concerned.
    if (errno == ECONNRESET) return 0;
    return fail_errno("read", errno);
  }
}

Task<Result<std::size_t>> Stream::read(std::span<char> into, Deadline deadline,
                                       std::stop_token stop) {
  bool told = may_read();
  while (true) {
    if (told) {
      watch_.take_edge();
      CO_TRY_ASSIGN(auto got, read_some(into));
      if (got) co_return *got;
    }
    CO_TRY(to_result(co_await watch_.readable(deadline, stop), "read"));
    told = true;
  }
}

Task<Result<>> Stream::read_exact(std::span<char> into, Deadline deadline, std::stop_token stop) {
  while (!into.empty()) {
    CO_TRY_ASSIGN(auto got, co_await read(into, deadline, stop));
    if (got == 0) co_return fail(ErrorKind::unavailable, "the stream ended early");
    into = into.subspan(got);
  }
  co_return Result<>{};
}

Task<Result<>> Stream::write_vector(iovec* parts, int count, Deadline deadline, Duration patience,
                                    std::stop_token stop) {
  while (count > 0) {
    // sendmsg for MSG_NOSIGNAL; pipes do not take it and get writev (SIGPIPE is ignored
    // process-wide).
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<std::size_t>(count);
    ssize_t put = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (put < 0 && errno == ENOTSOCK) put = ::writev(fd_.get(), parts, count);
    if (put < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) co_return fail_errno("write", errno);
      Deadline until = patience == Duration::max() ? deadline : loop().now() + patience;
      CO_TRY(to_result(co_await watch_.writable(until, stop), "write"));
      continue;
    }
    auto left = static_cast<std::size_t>(put);
    while (count > 0 && left >= parts->iov_len) {
      left -= parts->iov_len;
      ++parts;
      --count;
    }
    if (count > 0) {
      parts->iov_base = static_cast<char*>(parts->iov_base) + left;
      parts->iov_len -= left;
    }
  }
  co_return Result<>{};
}

Task<Result<>> Stream::write_all(std::string_view bytes, Deadline deadline, std::stop_token stop) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  co_return co_await write_vector(&part, bytes.empty() ? 0 : 1, deadline, Duration::max(), stop);
}

Task<Result<>> Stream::write_all(std::string_view head, std::string_view body, Deadline deadline,
                                 std::stop_token stop) {
  std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                             iovec{const_cast<char*>(body.data()), body.size()}};
  co_return co_await write_vector(parts.data(), body.empty() ? 1 : 2, deadline, Duration::max(),
                                  stop);
}

Task<Result<>> Stream::write_patiently(std::string_view head, std::string_view body,
                                       Duration patience, std::stop_token stop) {
  std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                             iovec{const_cast<char*>(body.data()), body.size()}};
  co_return co_await write_vector(parts.data(), body.empty() ? 1 : 2, no_deadline, patience, stop);
}

void Stream::limit_unsent(std::size_t bytes) {
  int value = static_cast<int>(bytes);
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

void Stream::reset_on_close() {
  linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void Stream::shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }

Listener::Listener(Loop& loop, Fd fd) : fd_(std::move(fd)), watch_(loop, fd_.get()) {}

Task<Result<Fd>> Listener::accept(std::stop_token stop) {
  while (true) {
    int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails harmlessly on AF_UNIX
      co_return Fd(fd);
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // Out of descriptors: leave the peers in the backlog for a moment instead of spinning.
      CO_TRY(to_result(
          co_await sleep_for(watch_.loop(), std::chrono::milliseconds(50), stop) == Wake::cancelled
              ? Wake::cancelled
              : Wake::notified,
          "accept"));
      continue;
    }
    if (errno != EAGAIN) co_return fail_errno("accept", errno);
    CO_TRY(to_result(co_await watch_.readable(no_deadline, stop), "accept"));
  }
}

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family = AF_UNSPEC;
};

Result<Address> parse_address(const std::string& host, std::uint16_t port) {
  Address out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof(sockaddr_in);
    out.family = AF_INET;
    return out;
  }
  if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof(sockaddr_in6);
    out.family = AF_INET6;
    return out;
  }
  return fail(ErrorKind::invalid, fmt::format("'{}' is not a numeric IP address", host));
}

Result<Address> unix_address(const std::string& path) {
  Address out;
  auto* un = reinterpret_cast<sockaddr_un*>(&out.storage);
  if (path.size() >= sizeof un->sun_path) {
    return fail(ErrorKind::too_large, fmt::format("socket path '{}' is too long", path));
  }
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
  out.size = sizeof(sockaddr_un);
  out.family = AF_UNIX;
  return out;
}

Result<Fd> bind_and_listen(const Address& address, const std::string& shown) {
  Fd fd(::socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("socket", errno);
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    return fail_errno(fmt::format("cannot listen on {}", shown), errno);
  }
  if (::listen(fd.get(), 4096) != 0) return fail_errno("listen", errno);
  return fd;
}

Task<Result<Fd>> connect_socket(Loop& loop, Fd fd, Address address, Deadline deadline) {
  FdWatch watch(loop, fd.get());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0) {
    if (errno != EINPROGRESS) co_return fail_errno("connect", errno);
    CO_TRY(to_result(co_await watch.writable(deadline), "connect"));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) co_return fail_errno("connect", error);
  }
  int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  co_return fd;
}

Task<Result<Fd>> connect_address(Loop& loop, Address address, Deadline deadline) {
  Fd fd(::socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) co_return fail_errno("socket", errno);
  co_return co_await connect_socket(loop, std::move(fd), address, deadline);
}

}  // namespace

namespace {

std::pair<std::string, std::uint16_t> numeric(const sockaddr_storage& storage) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return {text.data(), ntohs(v4->sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(v6->sin6_port)};
  }
  return {};
}

}  // namespace

std::string Listener::address() const { return address_of(fd_); }

std::string address_of(const Fd& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) return "?";
  auto [ip, port] = numeric(storage);
  if (ip.empty()) return "unix";
  return storage.ss_family == AF_INET6 ? fmt::format("[{}]:{}", ip, port)
                                       : fmt::format("{}:{}", ip, port);
}

std::pair<std::string, std::uint16_t> peer_address(const Fd& fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  return numeric(storage);
}

Result<Fd> listen_tcp(const std::string& host, std::uint16_t port) {
  TRY_ASSIGN(auto address, parse_address(host, port));
  return bind_and_listen(address, fmt::format("{}:{}", host, port));
}

Result<Fd> listen_unix(const std::string& path) {
  TRY_ASSIGN(auto address, unix_address(path));
  return bind_and_listen(address, path);
}

Task<Result<Fd>> connect_tcp(Loop& loop, std::string host, std::uint16_t port, Deadline deadline) {
  CO_TRY_ASSIGN(auto address, parse_address(host, port));
  co_return co_await connect_address(loop, address, deadline);
}

Task<Result<Fd>> connect_over(Loop& loop, const Fd& socket, std::uint16_t port, Deadline deadline) {
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  // Of a socket that was never connected this may fail, and need not succeed.
  (void)::connect(socket.get(), &nowhere, sizeof nowhere);
  Fd fd(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
  if (!fd) co_return fail_errno("dup", errno);
  CO_TRY_ASSIGN(auto address, parse_address("127.0.0.1", port));
  co_return co_await connect_socket(loop, std::move(fd), address, deadline);
}

Task<Result<Fd>> connect_unix(Loop& loop, std::string path, Deadline deadline) {
  CO_TRY_ASSIGN(auto address, unix_address(path));
  co_return co_await connect_address(loop, address, deadline);
}

Result<std::pair<Fd, Fd>> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno("socketpair", errno);
  }
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe2", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

}  // namespace mayfly::io
