// What the init of a jail and the guest that parks in it say to each other, over a SOCK_SEQPACKET
// socket pair: descriptor 5 of the guest. Numbers are in the machine's order.
//
//   fork order (init → guest), one message for each fork
//            0      4    kind: 1
//            4      4    length of the environment block
//            8      …    environment block: "KEY=value\0" for each variable
//            descriptors: output, [channel], [framed log] of the new environment
//   answer (guest's parent side → init), when it is about to park again
//            0      1    0: forked; else an errno
//
// The guest calls fork() between the two; the init traces it (fork_tracer.h).
//
//   order to become an environment (init → guest), once
//            0      4    kind: 2
//            4      4    length of the environment block
//            8      …    environment block: all of its environment
//   answer (guest → init)
//            0      1    0: taken; else an errno
//
// Its descriptors stay; its current directory has been changed to /var/task (specialise.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mayfly::sandbox {

enum class GuestOrder : std::uint32_t { fork = 1, become_environment = 2 };
std::string encode(GuestOrder order, const std::vector<std::string>& variables);

}  // namespace mayfly::sandbox
