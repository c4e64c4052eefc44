// GuestChannel: what invoke/ needs of a guest process, whatever contract the guest speaks
// (guest/lambda/: lean frames for our bootstraps, the public HTTP Runtime API for the rest).
// Loop thread only. One invocation at a time per channel, or several where the guest was started
// for that.
//
// Events ahead: a guest that is known to answer at once may be handed further events behind the one
// under way, so that neither side sleeps between two calls. Each is taken by the guest when it has
// answered the one before; until then it can be called back, and counts as not started.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "io/fd.h"
#include "io/flow.h"

namespace mayfly::guest {

class ExtensionApi;

// An answer that is taken while it is made. A guest's channel fills it where the guest streams;
// between maker and taker lie at most two windows and what one read brings.
struct AnswerStream {
  explicit AnswerStream(io::Loop& loop) : head(loop), flow(loop) {}
  void begin(std::string_view type) {
    if (begun) return;
    begun = true;
    content_type = type;
    head.set();
  }
  bool begun = false;
  std::string content_type;
  io::Event head;  // the answer has begun, or the call has ended without one
  io::Flow flow;
};

// The longest answers, in one piece and streamed.
struct AnswerBounds {
  std::size_t whole = limits::invoke_sync_payload_bytes + limits::invoke_response_slack_bytes;
  std::size_t streamed = limits::stream_response_bytes;
};
inline constexpr AnswerBounds unbound_answers{.whole = limits::unbound_sync_payload_bytes,
                                              .streamed = std::numeric_limits<std::size_t>::max()};

struct InvokeRequest {
  std::string request_id;
  std::string payload;
  std::string invoked_function_arn;
  std::string trace_header;
  std::string client_context;    // decoded JSON or empty
  std::string cognito_identity;  // JSON or empty
  std::string tenant_id = {};
  std::int64_t deadline_epoch_ms = 0;
  Duration limit{};  // the same, counted from when the guest takes the event
  // Where a streamed answer goes; null: it is collected into the reply, as one that is not
  // streamed.
  std::shared_ptr<AnswerStream> stream = {};
};

// What the guest had written besides its answer when it gave it: log lines, output.
enum class Output {
  unknown,  // it does not tell
  read,     // all of it had been read by us
  unread,   // something lies in the pipes
};

struct InvokeReply {
  bool is_error = false;  // the runtime called …/error
  // The answer, or error JSON {"errorMessage","errorType",…}. Of an answer that went to
  // InvokeRequest::stream, the error in its middle alone.
  std::string payload;
  std::string content_type;
  std::string error_type;  // checked value of Lambda-Runtime-Function-Error-Type
  // Between the event's arrival in the guest and its answer, by the guest's clock: without the
  // waiting for a processor around it. Nothing where the guest does not tell.
  std::optional<Duration> busy{};
  bool streamed = false;  // the guest streamed, whether it was collected or not
  Output output = Output::unknown;
};

struct InitReply {
  bool ok = false;            // the runtime asked for its first event
  std::string error_payload;  // JSON sent to …/init/error, else empty
  std::string error_type;
  // The guest parked instead: forks of it are environments. Holds why not, empty when it may be.
  std::optional<std::string> parked;
  // With SnapStart, of a guest that ran the hooks of both kinds itself: how long, at the end of its
  // init, those took that come after a restore.
  std::optional<Duration> restored{};
};

class GuestChannel {
 public:
  virtual ~GuestChannel() = default;
  // Ends when the guest asks for its first event, reports an init error, or closes
  // (`unavailable`), or at the deadline (`timeout`).
  virtual io::Task<Result<InitReply>> wait_init(Deadline deadline) = 0;
  // Hands over one event and waits for its answer. `timeout` at the deadline; `unavailable` when
  // the guest went away; `too_large` when the answer exceeds the limit (reported to the guest as
  // 413 by the Runtime API). After an error a streamed answer is neither whole nor ended.
  // The request lives until the task ends.
  virtual io::Task<Result<InvokeReply>> invoke(const InvokeRequest& request, Deadline deadline) = 0;
  virtual void cancel() = 0;
  // The guest was started for `most` events at one time (AWS_LAMBDA_MAX_CONCURRENCY). Called before
  // wait_init(); from then on invoke() may be called while others wait, and answers come in any
  // order. Deadlines are the callers' business: invoke() gets none, and lasts until the guest has
  // answered or gone away.
  virtual void share(int most) = 0;
  // From now on, instead of the cloud's.
  virtual void set_bounds(const AnswerBounds&) {}
  // Requests of extensions that arrive here go to this one, which outlives the channel. False: no
  // port is served here.
  virtual bool serve_extensions(ExtensionApi&) { return false; }

  // Calls have been quick: from the next invoke() on the guest may be able to take events ahead.
  virtual void prepare_ahead() {}
  virtual bool takes_ahead() const { return false; }
  // Hands over an event behind the one under way; answers its number. 0: it must wait (too large,
  // no room).
  virtual std::uint32_t send_ahead(const InvokeRequest&) { return 0; }
  // The event with this number is the one under way now: waits for its answer. `conflict`: the
  // guest does not have it any more; it is to be handed over anew.
  virtual io::Task<Result<InvokeReply>> take_up(std::uint32_t, Deadline) {
    co_return fail(ErrorKind::conflict, "nothing was sent ahead");
  }
  // Calls back all that the guest has not taken.
  virtual void recall() {}
  // True: the guest does not have this event, which is forgotten. Asked after recall().
  virtual bool withdraw(std::uint32_t) { return false; }
  // Whether the loop has told of everything the guest had written anywhere before it answered: the
  // kernel reports descriptors in the order in which they became ready. False where the answer may
  // have been read without having been told of.
  virtual bool answer_was_told() const { return false; }
};

// Frames on a socket pair; see guest/lambda/lean.h for the byte table.
std::unique_ptr<GuestChannel> make_lean_channel(io::Loop& loop, io::Fd socket);
// Serves the Runtime API on a listening socket inside the jail.
std::unique_ptr<GuestChannel> make_runtime_api_channel(io::Loop& loop, io::Fd listener);
// Both, for a guest that a wrapper script starts: whichever it speaks.
std::unique_ptr<GuestChannel> make_wrapped_channel(io::Loop& loop, io::Fd socket, io::Fd listener);

}  // namespace mayfly::guest
