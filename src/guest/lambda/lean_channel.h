// LeanChannel: the host's end of the lean protocol (lean.h), for lean.cc and lean_stream.cc alone.
#pragma once

#include <list>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "guest/lambda/errors.h"
#include "guest/lambda/lean.h"
#include "io/byte_ring.h"
#include "io/duplex.h"
#include "io/record_ring.h"

namespace mayfly::guest {

// Owns our end of the socket pair and of the pipes. Used by invoke/ on the loop thread; ends with
// its instance.
class LeanChannel final : public GuestChannel,
                          public io::Duplex::Sink,
                          public io::PipeReader::Sink,
                          public io::Loop::TurnHandler {
 public:
  LeanChannel(io::Loop& loop, io::Fd socket) : loop_(loop) {
    socket_.emplace(loop, std::move(socket), *this);
  }
  ~LeanChannel() override {
    if (timer_) loop_.cancel_timer(*timer_);
    loop_.forget_turn_end(*this);
  }

  io::Task<Result<InitReply>> wait_init(Deadline deadline) override;
  io::Task<Result<InvokeReply>> invoke(const InvokeRequest& request, Deadline deadline) override;
  void share(int) override { shared_ = true; }
  void cancel() override {
    end(Error{ErrorKind::cancelled, "the guest's channel was cancelled", {}});
  }
  void set_bounds(const AnswerBounds& bounds) override {
    bounds_ = bounds;
    socket_frames_.set_answer_max(bounds.whole);
    pipe_frames_.set_answer_max(bounds.whole);
    mapped_frames_.set_answer_max(bounds.whole);
  }
  // Bytes are read when the loop tells of them, with one exception.
  bool answer_was_told() const override { return !pulled_; }

  void prepare_ahead() override { wanted_ = true; }
  bool takes_ahead() const override { return records_ != nullptr && !end_; }
  std::uint32_t send_ahead(const InvokeRequest& request) override;
  io::Task<Result<InvokeReply>> take_up(std::uint32_t number, Deadline deadline) override;
  void recall() override;
  bool withdraw(std::uint32_t number) override;

 private:
  // A coroutine that waits for something of the guest's.
  struct Waiting {
    std::coroutine_handle<> handle;
    Deadline deadline = no_deadline;
  };
  struct Intake;
  struct Event {
    std::uint32_t sequence = 0;
    bool back = false;                     // the guest does not have it
    std::shared_ptr<AnswerStream> stream;  // where a streamed answer is to go
    std::unique_ptr<Intake> intake;        // … which has begun
    std::optional<Result<InvokeReply>> reply;
    Waiting waiting;
  };
  using Events = std::list<Event>;
  // Until it is told, or its deadline has passed.
  struct Until {
    LeanChannel& channel;
    Waiting& waiting;
    Deadline deadline;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      waiting = {handle, deadline};
      channel.arm(deadline);
    }
    void await_resume() const noexcept {}
  };

  void on_bytes(std::string_view bytes) override { feed(socket_frames_, bytes); }
  void on_pipe_bytes(std::string_view bytes) override {
    feed(pipe_frames_, bytes);
    take_answers();
  }
  void take_answers();
  void pull_answers();
  void on_end() override;
  void on_turn_end() override;
  void put_later(std::uint32_t sequence, std::string_view head, std::string_view payload);
  void feed(FrameReader& frames, std::string_view bytes);
  void on_frame(const FrameReader::Frame& frame);
  void on_init(const FrameReader::Frame& frame);
  void on_pipes(const FrameReader::Frame& frame);
  Result<> open_pipes();
  Result<> open_ring();
  void check_records();
  void fail_corrupt(std::string message);
  Result<InvokeReply> reply_of(const FrameReader::Frame& frame) const;

  void on_stream(Event& event, const FrameReader::Frame& frame);
  static Result<InvokeReply> streamed_reply_of(Intake& intake, const FrameReader::Frame& frame);
  io::Task<Result<InvokeReply>> streamed_answer(Events::iterator event, Deadline deadline);
  io::Task<void> grant(Event& event, Deadline deadline, std::stop_token stop);
  void grant_window(Event& event);

  Events::iterator add(const InvokeRequest& request);
  void forget(Events::iterator event);
  Events::iterator find(std::uint32_t sequence);
  static io::Task<Result<InvokeReply>> failed(Error error) { co_return std::unexpected(error); }
  Result<> hand_over(const InvokeRequest& request, std::uint32_t sequence);
  // Without a request it is not handed over again.
  io::Task<Result<InvokeReply>> answer(Events::iterator event, const InvokeRequest* request,
                                       Deadline deadline);
  io::Task<Result<InvokeReply>> prepared_invoke(const InvokeRequest& request, Deadline deadline);
  void look_again();
  bool overdue(const Event& event, Deadline deadline);
  void wake(Waiting& waiting);
  void end(Error error);
  void arm(Deadline deadline);
  void on_timer();

  io::Loop& loop_;
  std::optional<io::Duplex> socket_;
  FrameReader socket_frames_;
  FrameReader pipe_frames_;
  FrameReader mapped_frames_;
  std::unique_ptr<io::Records> records_;  // events, where the guest takes them so
  std::optional<io::PipeReader> answers_;
  std::unique_ptr<io::ByteRing> mapped_;  // answers, where the guest puts them so
  std::optional<Result<InitReply>> init_;
  Waiting init_waiting_;
  Events events_;  // the one under way, and those ahead
  Events free_;    // of use again, without taking memory
  std::string out_;
  // Records of this turn of the loop: the guest, woken by the first, may well run at once.
  struct Unsent {
    std::uint32_t sequence;
    std::size_t size;
  };
  std::vector<Unsent> unsent_;
  std::string unsent_bytes_;
  std::uint32_t sequence_ = 0;
  bool shared_ = false;    // several events at one time
  bool can_open_ = false;  // the guest says so
  bool can_map_ = false;   // likewise
  bool wanted_ = false;    // by us
  bool opening_ = false;
  // Of all streamed answers together, where they come one after the other.
  std::uint64_t received_ = 0;
  std::uint64_t granted_ = 2 * limits::stream_window_bytes;
  AnswerBounds bounds_;
  std::optional<Error> end_;  // nothing more comes, or nothing here can be trusted
  bool pulled_ = false;       // since the event under way was handed over
  // One for all that wait: set for a deadline that was the next one once, and set anew when it
  // fires. Deadlines almost never come.
  std::optional<io::Loop::TimerId> timer_;
};

// A streamed answer on its way in.
struct LeanChannel::Intake {
  std::shared_ptr<AnswerStream> to;
  bool collects = false;  // into `collected`: the caller wants it in one piece
  std::size_t limit = 0;
  std::string collected;
  bool oversized = false;
  std::uint64_t received = 0;
  std::uint64_t granted = 2 * limits::stream_window_bytes;  // where it has a credit of its own

  void add(std::string_view bytes) {
    received += bytes.size();
    if (received > limit && !std::exchange(oversized, true)) {
      collected = {};
      to->flow.break_off(response_too_large(limit));
    }
    to->flow.push(bytes);
    if (collects) collected += to->flow.take();
  }
};

}  // namespace mayfly::guest
