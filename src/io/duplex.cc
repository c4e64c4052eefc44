#include "io/duplex.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace mayfly::io {

Duplex::Duplex(Loop& loop, Fd fd, Sink& sink) : loop_(loop), fd_(std::move(fd)), sink_(sink) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // refused by AF_UNIX
  // The loop reports at once what is there already. Where it cannot watch (out of memory), the
  // connection ends.
  if (!loop_.add_fd(fd_.get(), *this, Loop::Interest::bytes)) ::shutdown(fd_.get(), SHUT_RDWR);
}

Duplex::~Duplex() { loop_.remove_fd(fd_.get(), *this); }

void Duplex::send(std::string bytes) {
  if (finishing_) return;
  if (sent_ == unsent_.size()) {
    unsent_ = std::move(bytes);
    sent_ = 0;
  } else {
    unsent_ += bytes;
  }
  flush();
}

void Duplex::send(std::string_view head, std::string_view body) {
  if (finishing_) return;
  std::size_t put = 0;
  if (sent_ == unsent_.size()) {
    std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                               iovec{const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = body.empty() ? 1 : 2;
    ssize_t done = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    put = done > 0 ? static_cast<std::size_t>(done) : 0;
    if (put == head.size() + body.size()) return;
  }
  std::string rest(head.substr(std::min(put, head.size())));
  rest += body.substr(put - std::min(put, head.size()));
  send(std::move(rest));
}

void Duplex::finish() {
  if (finishing_) return;
  finishing_ = true;
  flush();
}

void Duplex::flush() {
  while (sent_ < unsent_.size()) {
    ssize_t put = ::send(fd_.get(), unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL);
    if (put >= 0) {
      sent_ += static_cast<std::size_t>(put);
    } else if (errno == EAGAIN) {
      if (!std::exchange(wants_room_, true)) loop_.want_room(fd_.get(), *this);
      return;  // an edge follows
    } else if (errno != EINTR) {
      // Broken: the reading side sees the end and says so.
      sent_ = unsent_.size();
      ::shutdown(fd_.get(), SHUT_RDWR);
    }
  }
  unsent_.clear();
  sent_ = 0;
  if (finishing_) ::shutdown(fd_.get(), SHUT_WR);
}

void Duplex::resume() {
  if (!std::exchange(paused_, false)) return;
  // What was told of meanwhile is not told of again, an end neither.
  on_events(EPOLLRDHUP);
}

void Duplex::on_events(std::uint32_t events) {
  if ((events & EPOLLOUT) && sent_ < unsent_.size()) flush();
  std::array<char, 64 * 1024> chunk;
  while (!ended_ && !paused_) {
    ssize_t got = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (got > 0) {
      if (!finishing_) sink_.on_bytes({chunk.data(), static_cast<std::size_t>(got)});
      // A short read has emptied the socket: what comes later is a new edge. An end that came
      // with the bytes is not.
      if (static_cast<std::size_t>(got) < chunk.size() &&
          !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        return;
      }
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    ended_ = true;
    sink_.on_end();  // may have destroyed this
    return;
  }
}

Acceptor::Acceptor(Loop& loop, Fd listener, std::move_only_function<void(Fd)> on_connection)
    : loop_(loop), fd_(std::move(listener)), on_connection_(std::move(on_connection)) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
  // A listener that cannot be watched accepts nothing; its peers wait until their own deadline.
  [[maybe_unused]] auto added = loop_.add_fd(fd_.get(), *this);
}

Acceptor::~Acceptor() {
  loop_.remove_fd(fd_.get(), *this);
  if (retry_) loop_.cancel_timer(*retry_);
}

void Acceptor::on_events(std::uint32_t) {
  while (true) {
    int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
      on_connection_(Fd(fd));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      // Nothing tells when a descriptor is free again: look again in a moment.
      if (!retry_) {
        retry_ = loop_.add_timer(loop_.now() + std::chrono::milliseconds(50), [this] {
          retry_.reset();
          on_events(0);
        });
      }
    }
    return;
  }
}

}  // namespace mayfly::io
