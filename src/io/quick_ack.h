// A detail of TCP that matters for requests to servers that write a head and a body apart.
#pragma once

namespace mayfly::io {

// Has the kernel acknowledge what comes next at once. Otherwise it waits up to 40 ms for something
// to send along, while the peer, by Nagle's algorithm, holds back what is left of its answer. For
// one exchange: with what is written later the kernel goes back to waiting. Of sockets that are no
// TCP nothing happens.
void acknowledge_at_once(int fd);

}  // namespace mayfly::io
