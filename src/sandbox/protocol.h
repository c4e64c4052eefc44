// Messages between the server and its launcher, over a SOCK_SEQPACKET socket pair with descriptors
// (SCM_RIGHTS). Both ends are one binary, so numbers are in the machine's order.
//
//   request   u32 kind (1 launch, 2 launch, the rest in a memfd) · u64 sequence · u64 parked · Spec
//             descriptors: [memfd when 2] · output · [channel] · [framed log] ·
//             [output of companions]
//             parked: 0, or the sequence of the launch whose program is to be forked
//             u32 kind (3 keep jails for forks ready) · u64 number of jails · u64 parked
//             u32 kind (4 specialise, 5 specialise, the rest in a memfd) · as 1 and 2, but for the
//             descriptors, of which there are none; parked: the launch that becomes an environment
//             u32 kind (6 poise, 7 poise, the rest in a memfd) · as 1 and 2; from the launcher
//             alone
//   reply     u32 kind (1 launched, 2 failed, 3 exited, 4 specialised, 5 process ended,
//             6 out of memory: held until it is killed) · u64
//             sequence · body
//             launched: u32 pid, u32 own output, u32 with accounts, five controller places;
//             descriptors: pidfd · listeners · sockets · [read end of the output, in place of the
//             server's own] · [files of its accounts]
//             failed:   u32 ErrorKind, text
//             exited:   i32 code, i32 signal, u32 out of memory, u64 ×3 statistics
//             process ended: i32 companion, i32 code, i32 signal, u32 out of memory, i32 errno
//   text      u32 length · bytes;   list: u32 count · elements
//
// The launcher passes a request on to a parked jail as it came, with the descriptors of the bound
// trees put between the memfd and the rest. One whose program is poised gets no descriptors.
//
// The end of the server's side of the socket is the request to end everything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "io/fd.h"
#include "sandbox/control_group.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox {

struct Request {
  enum class What { launch, specialise, poise };
  std::uint64_t sequence = 0;
  std::uint64_t parked = 0;
  Spec spec;
  What what = What::launch;
};
struct KeepReady {
  std::uint64_t jails = 0;
  std::uint64_t parked = 0;
};

struct Launched {
  int pid = -1;
  bool own_output = false;  // its output is read from a pipe that the launcher made
  bool accounts = false;    // with the files of its accounts (control_group.h)
  ControlGroup group;
};
struct Exited {
  Exit exit;
  Stats stats;
};
struct Specialised {};
struct Starved {};
struct Reply {
  std::uint64_t sequence = 0;
  std::variant<Launched, Error, Exited, Specialised, ProcessEnd, Starved> body;
};

// The head goes into the message; a body longer than limits::sandbox_message_bytes into a memfd.
struct EncodedRequest {
  std::string bytes;
  io::Fd file;  // the first descriptor to send, when there is one
};
Result<EncodedRequest> encode(const Request& request);
std::string encode(const KeepReady& request);
std::string encode(const Reply& reply);

struct Message {
  std::string bytes;
  std::vector<io::Fd> fds;
};
// Whether the first descriptor is the memfd with the rest of the request.
bool is_in_file(const Message& request);
// Takes the memfd out of `message.fds` when there is one.
Result<Request> decode_request(Message& message);
std::optional<KeepReady> decode_keep_ready(const Message& message);
Result<Reply> decode_reply(std::string_view bytes);

// 0 or an errno (EAGAIN on a non-blocking socket).
int send_message(int socket, std::string_view bytes, const std::vector<int>& fds);
// 0, an errno, or EPIPE when the peer is gone.
int receive_message(int socket, Message& out);

}  // namespace mayfly::sandbox
