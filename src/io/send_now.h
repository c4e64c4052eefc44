// What a socket takes at once, without a coroutine: nearly every answer goes out whole.
#pragma once

#include <cstddef>
#include <string_view>

namespace mayfly::io {

// Bytes sent; 0 where the socket takes none now, or never again.
std::size_t send_now(int socket, std::string_view bytes);

}  // namespace mayfly::io
