// SocketMaker: TCP sockets of another network namespace, as many as are asked for, made of two that
// are there already; without a right to enter it. One of the two listens and the other connects to
// it: the accepted socket belongs to the namespace as well, and is one like any other once it has
// been disconnected (connect(2) with AF_UNSPEC).
//
// The port it listens on is any that is free on 127.0.0.1 there. Whoever connects to it meanwhile
// is cut off, and has only supplied the socket.
//
// Loop thread. Ends its waiters with an error when it ends.
#pragma once

#include <memory>
#include <optional>

#include "io/fd.h"
#include "io/park.h"

namespace mayfly::io {

class SocketMaker {
 public:
  // Two IPv4 sockets of one network namespace, not connected to anything.
  SocketMaker(Loop& loop, Fd one, Fd other)
      : loop_(loop), listening_(std::move(one)), connecting_(std::move(other)), turn_(loop) {}

  // A socket for connect_over(). Errors: `timeout`, `cancelled`, of the kernel.
  Task<Result<Fd>> make(Deadline deadline, std::stop_token stop);

 private:
  Result<> listen();
  Task<Result<Fd>> accept_one(Deadline deadline, std::stop_token stop);

  Loop& loop_;
  Fd listening_;
  Fd connecting_;
  std::unique_ptr<Listener> listener_;  // from the first one on
  std::uint16_t port_ = 0;
  bool busy_ = false;
  ParkingLot turn_;
};

}  // namespace mayfly::io
