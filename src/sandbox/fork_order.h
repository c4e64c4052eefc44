// What the init of a jail and the guest that parks in it say to each other, over a SOCK_SEQPACKET
// socket pair: descriptor 5 of the guest. Numbers are in the machine's order.
//
//   stand order (init → guest): the guest calls fork(), and never returns from it
//            0      4    kind: 3
//            4      4    0
//            descriptors: [where its children find their orders, instead of descriptor 5]
//   fork order (jail's init → new environment), on its own descriptor 5
//            0      4    kind: 1
//            4      4    length of the environment block
//            8      …    environment block: "KEY=value\0" for each variable
//            descriptors: output, [channel], [framed log] of the new environment
//
// The init traces the guest and makes the environments of it (fork_tracer.h): each begins with the
// return from that fork. Where nobody traces it, the guest's side of the fork answers with one
// byte, 0 or an errno, and waits for the next order.
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

enum class GuestOrder : std::uint32_t { fork = 1, become_environment = 2, stand = 3 };
std::string encode(GuestOrder order, const std::vector<std::string>& variables);

}  // namespace mayfly::sandbox
