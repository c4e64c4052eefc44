#include "io/send_now.h"

#include <sys/socket.h>

#include <cerrno>

namespace mayfly::io {

std::size_t send_now(int socket, std::string_view bytes) {
  ssize_t sent = -1;
  do {
    sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

}  // namespace mayfly::io
