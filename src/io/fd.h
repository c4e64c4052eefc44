// Fd owns a descriptor; Stream reads and writes one without blocking; Listener accepts.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "io/park.h"

struct iovec;

namespace mayfly::io {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

// A readiness watch of one descriptor. Loop thread only; the descriptor must be non-blocking.
class FdWatch final : private Loop::FdHandler {
 public:
  FdWatch(Loop& loop, int fd);
  ~FdWatch();
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  // Wait for the next edge. Try the operation first; wait only after EAGAIN.
  Task<Wake> readable(Deadline deadline, std::stop_token stop = {});
  Task<Wake> writable(Deadline deadline, std::stop_token stop = {});
  // Ends pending and future waits with `cancelled`.
  void cancel();
  // An edge came that nobody took, or there will be no further one: bytes may be there.
  bool may_read() const { return can_read_ || always_; }
  // Called when the peer has gone altogether (not when it only sends no more). Once or more often.
  void on_hangup(std::move_only_function<void()> call) { on_hangup_ = std::move(call); }
  // For who tries now: edges so far are of no further use.
  void take_edge() { can_read_ = false; }
  int fd() const { return fd_; }
  Loop& loop() const { return loop_; }

 private:
  void on_events(std::uint32_t events) override;

  Loop& loop_;
  int fd_;
  bool cancelled_ = false;
  bool can_read_ = false;  // an edge came that nobody has waited for yet
  bool can_write_ = false;
  bool always_ = false;  // the peer has ended, or the descriptor knows no edges
  bool wants_room_ = false;
  std::move_only_function<void()> on_hangup_;
  ParkingLot readers_;
  ParkingLot writers_;
};

// A connected socket or pipe end. One reader and one writer at a time.
class Stream {
 public:
  // Takes the descriptor and makes it non-blocking.
  Stream(Loop& loop, Fd fd);

  // Reads at least one byte; 0 means the peer ended the stream. After a read that took all there
  // was, waits before it tries again, which saves a system call.
  Task<Result<std::size_t>> read(std::span<char> into, Deadline deadline,
                                 std::stop_token stop = {});
  // Reads exactly into.size() bytes; `unavailable` when the stream ends before.
  Task<Result<>> read_exact(std::span<char> into, Deadline deadline, std::stop_token stop = {});
  // Without waiting: bytes read, 0 at the end of the stream, nullopt when nothing is there now.
  Result<std::optional<std::size_t>> read_some(std::span<char> into);
  // False: everything whose arrival the loop has told of is read.
  bool may_read() const { return more_ || watch_.may_read(); }
  Task<Result<>> write_all(std::string_view bytes, Deadline deadline, std::stop_token stop = {});
  // Gathers both parts into as few system calls as possible.
  Task<Result<>> write_all(std::string_view head, std::string_view body, Deadline deadline,
                           std::stop_token stop = {});
  // Gives up when the peer takes nothing for `patience`, however long all of it lasts.
  Task<Result<>> write_patiently(std::string_view head, std::string_view body, Duration patience,
                                 std::stop_token stop = {});
  // Writing waits while about so much of what was written has not been sent: the system's buffers
  // hide a slow peer else, and the bytes in them take memory.
  void limit_unsent(std::size_t bytes);
  void on_hangup(std::move_only_function<void()> call) { watch_.on_hangup(std::move(call)); }
  void shutdown_write();
  // The close that follows tells the peer that something went wrong: a reset instead of an end.
  void reset_on_close();
  // Ends pending operations with `cancelled`; the descriptor closes with the Stream.
  void cancel() { watch_.cancel(); }
  int fd() const { return fd_.get(); }
  Loop& loop() const { return watch_.loop(); }

 private:
  Task<Result<>> write_vector(iovec* parts, int count, Deadline deadline, Duration patience,
                              std::stop_token stop);

  Fd fd_;
  FdWatch watch_;
  bool more_ = true;  // bytes may be there for which no new edge comes
};

// The local address of a socket: "127.0.0.1:4566".
std::string address_of(const Fd& socket);

// A listening socket.
class Listener {
 public:
  // Takes a listening descriptor (for example one made inside another network namespace).
  Listener(Loop& loop, Fd fd);
  Task<Result<Fd>> accept(std::stop_token stop = {});
  void cancel() { watch_.cancel(); }
  // "127.0.0.1:4566"
  std::string address() const;

 private:
  Fd fd_;
  FdWatch watch_;
};

// Binds and listens. `host` is a numeric IPv4 or IPv6 address; port 0 takes a free one.
Result<Fd> listen_tcp(const std::string& host, std::uint16_t port);
Result<Fd> listen_unix(const std::string& path);
// Connects without name resolution (numeric addresses only).
Task<Result<Fd>> connect_tcp(Loop& loop, std::string host, std::uint16_t port, Deadline deadline);
Task<Result<Fd>> connect_unix(Loop& loop, std::string path, Deadline deadline);
// Connects this IPv4 socket to the port on 127.0.0.1 of its network, which need not be ours;
// answers another descriptor of it. Whatever it was connected to before is cut off, so that it
// serves any number of connections, one at a time.
Task<Result<Fd>> connect_over(Loop& loop, const Fd& socket, std::uint16_t port, Deadline deadline);
// Numeric address and port of the other end; empty and 0 for sockets that have none.
std::pair<std::string, std::uint16_t> peer_address(const Fd& fd);
Result<std::pair<Fd, Fd>> socket_pair();
struct Pipe {
  Fd read_end;
  Fd write_end;
};
Result<Pipe> make_pipe();

}  // namespace mayfly::io
