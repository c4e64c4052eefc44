#include "io/socket_maker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

namespace mayfly::io {
namespace {

// One connection is under way at a time; the rest is for those of others, whoever they are.
constexpr int backlog = 64;

}  // namespace

Result<> SocketMaker::listen() {
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  auto* address = reinterpret_cast<sockaddr*>(&here);
  if (::bind(listening_.get(), address, size) != 0) return fail_errno("bind", errno);
  if (::listen(listening_.get(), backlog) != 0) return fail_errno("listen", errno);
  if (::getsockname(listening_.get(), address, &size) != 0) {
    return fail_errno("getsockname", errno);
  }
  port_ = ntohs(here.sin_port);
  listener_ = std::make_unique<Listener>(loop_, std::move(listening_));
  return {};
}

Task<Result<Fd>> SocketMaker::accept_one(Deadline deadline, std::stop_token stop) {
  if (!listener_) CO_TRY(listen());
  CO_TRY_ASSIGN(Fd connected, co_await connect_over(loop_, connecting_, port_, deadline));
  // It is there by now, or another one is that was before it.
  CO_TRY_ASSIGN(Fd accepted, co_await listener_->accept(std::move(stop)));
  sockaddr nowhere{};
  nowhere.sa_family = AF_UNSPEC;
  if (::connect(accepted.get(), &nowhere, sizeof nowhere) != 0) {
    co_return fail_errno("disconnect", errno);
  }
  co_return accepted;
}

Task<Result<Fd>> SocketMaker::make(Deadline deadline, std::stop_token stop) {
  while (busy_) {
    CO_TRY(to_result(co_await turn_.park(deadline, stop), "a socket of the jail's network"));
  }
  busy_ = true;
  auto made = co_await accept_one(deadline, std::move(stop));
  busy_ = false;
  turn_.wake_one();
  co_return made;
}

}  // namespace mayfly::io
