// The lean protocol: how our own bootstraps (runtimes/) receive events and answer.
//
// Spoken over one end of a socket pair, descriptor 3 of the guest. A frame is sent with one system
// call and, when it is small, read with one. Integers are little-endian.
//
//   frame    offset size
//            0      4    length of the body
//            4      1    type (FrameType); answers through pipes: + 0x40, and + 0x80 when something
//                        that the guest has written to its output or log lies unread
//            5      3    RESPONSE and ERROR: microseconds from the event's arrival in the guest to
//                        its answer (0: not told); READY: microseconds that hooks after a restore
//                        have taken, of a guest that was not restored (0: none); zero otherwise
//            8      4    sequence: 0 for INIT_ERROR and PARKED; an answer and RETURNED repeat their
//                        INVOKE's; READY: 1 when the guest can open pipes, 2: and map memory
//            12     …    body
//
//   READY (guest → host)        empty: asks for the first event
//   INVOKE (host → guest)
//            0      8    deadline, milliseconds since the epoch; of an event ahead: milliseconds
//                        from when the guest takes it
//            8      2    length of the request id
//            10     2    length of the invoked function's ARN
//            12     2    length of the trace header
//            14     2    twice the length of the tenant's id; + 1: sent ahead
//            16     4    length of the client context (JSON; 0: none)
//            20     4    length of the Cognito identity (JSON; 0: none)
//            24     …    request id, ARN, trace header, client context, identity, tenant's id,
//                        payload (the rest)
//   RESPONSE (guest → host)
//            0      2    length of the content type (0: application/json)
//            2      …    content type, payload (the rest)
//   ERROR, INIT_ERROR (guest → host)
//            0      2    length of the error type
//            2      …    error type, error JSON (the rest)
//   PARKED (guest → host, instead of READY, of a guest that is to be forked)
//            0      2    length of the reason
//            2      …    reason why it must not be forked; empty: it waits for orders
//   PIPES (host → guest)        empty: can you open pipes?
//   PIPES (guest → host)
//            0      2    length of the reason
//            2      …    reason why not; empty: the next message shall bring them
//   RETURNED (guest → host)     empty: the event ahead is not taken, see below
//   ELSEWHERE (host → guest, through the pipe)   empty: an INVOKE comes on descriptor 3
//   NOTICE (guest → host, through the pipe)      empty: answers lie in memory
//
// A streamed answer takes the place of RESPONSE:
//
//   guest  STREAM  PART…  [STREAM_END]  RESPONSE | ERROR
//   host           CREDIT…
//
//   STREAM (guest → host)
//            0      2    length of the content type
//            2      …    content type
//   PART (guest → host)         bytes of the answer
//   STREAM_END (guest → host)   empty: the answer is whole; the call goes on until RESPONSE, whose
//                               payload is empty and not looked at
//   CREDIT (host → guest, on descriptor 3; its sequence is 0)
//            0      4    so many more bytes of PARTs may be sent
//
// The guest begins with two windows (limits::stream_window_bytes) and sends no byte beyond its
// credit, which lasts from call to call. The host grants a window more whenever that much has been
// taken; what is there when a call ends counts as taken. So whatever a client does, the host can
// always read, an ERROR is never stuck behind an answer that nobody takes, and a guest that still
// waits for a CREDIT when it ends the answer gets one. A guest with credit need not read what was
// granted: never more than two windows wait for it.
//
// Several events at one time. A guest that was started for that (AWS_LAMBDA_MAX_CONCURRENCY) is
// sent INVOKEs without waiting for answers, as many as that variable says, and answers in any
// order. There are no pipes then. Each streamed answer has a credit of its own, of two windows at
// its start, and CREDIT names its sequence.
//
// A guest of several processes answers for one that has ended with ERROR, of the type
// Runtime.ExitError, and the bare text of why.
//
// Pipes. A pipe costs less than half of a socket per message, and a pipe of records lets the host
// take back what the guest has not read. Where the guest agrees, one byte on descriptor 3 brings
// two descriptors: the read end of a pipe of records, one INVOKE of at most 4,096 bytes each, and
// the write end of a pipe for the guest's answers. Larger events go on over descriptor 3,
// each announced by ELSEWHERE.
//
// A guest that can map memory gets four descriptors: a pipe's read end whose bytes mean nothing but
// that there are events, the write end for its answers, memory that holds the events themselves
// (src/io/record_ring.h), and memory for answers (src/io/byte_ring.h). RESPONSE and ERROR of calls
// that stream nothing may lie there whole, with a NOTICE through the pipe when the host waits;
// where they find no room, and for all other frames, the pipe is the way. All else is as with
// pipes.
//
// Events ahead. The host may put further events into the pipe while one runs. The guest takes each
// when it has answered the one before. Lines that lie unread in its pipes when it answers could not
// be told from those of the next call; so a guest whose last answer said so (0x80) sends RETURNED
// for every event ahead that it finds, until the host, having read them, sends one that is not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "guest/channel.h"

namespace mayfly::guest {

enum class FrameType : std::uint8_t {
  ready = 1,
  init_error = 2,
  invoke = 3,
  response = 4,
  error = 5,
  parked = 6,
  stream = 7,
  part = 8,
  stream_end = 9,
  credit = 10,  // of the host alone
  pipes = 11,
  returned = 12,
  elsewhere = 13,  // of the host alone
  notice = 14,
};

inline constexpr std::size_t frame_head_bytes = 12;
// A guest may announce more than the limit of an answer: it is then read and thrown away. A frame
// beyond this size ends the channel.
inline constexpr std::uint32_t frame_body_max_bytes = 256u << 20;

struct FrameHead {
  std::uint32_t length = 0;
  FrameType type = FrameType::ready;
  std::uint32_t sequence = 0;
  std::uint32_t busy_micros = 0;
  Output output = Output::unknown;
};

// `corrupt` for an unknown type, a non-zero reserved byte or a body beyond frame_body_max_bytes.
Result<FrameHead> parse_frame_head(std::string_view bytes);
// Appends the frame head and everything of an INVOKE's body before the payload. `too_large` when a
// part does not fit its length field.
enum class When { now, ahead };
Result<> encode_invoke_head(std::string& out, const InvokeRequest& request, std::uint32_t sequence,
                            When when);
// The head of a frame without a body.
std::string encode_bare_frame(FrameType type);
std::string encode_credit(std::uint32_t bytes, std::uint32_t sequence = 0);
// Splits the body of RESPONSE, ERROR, INIT_ERROR, PARKED, STREAM and PIPES into its label and the
// rest.
struct LabelledBody {
  std::string_view label;
  std::string_view rest;
};
Result<LabelledBody> parse_labelled_body(std::string_view body);

// Bytes of one stream, as they come, to frames.
class FrameReader {
 public:
  struct Frame {
    FrameHead head;
    std::string_view body;  // the first part of an oversized one: more than an answer may have
    bool oversized = false;
  };
  FrameReader();
  // Calls `take` for every frame that is whole. Errors: as of parse_frame_head().
  Result<> feed(std::string_view bytes, const std::function<void(const Frame&)>& take);
  // The longest answer that is kept whole.
  void set_answer_max(std::size_t bytes);

 private:
  std::size_t gather(std::string_view bytes, std::size_t wanted);

  std::string held_;  // of a frame that is not whole
  FrameHead head_;
  std::size_t skip_ = 0;
  std::size_t kept_bytes_;  // of a body
};

}  // namespace mayfly::guest
