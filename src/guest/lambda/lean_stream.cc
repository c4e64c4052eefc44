// Streamed answers of the lean protocol: parts on their way in, credit on its way out.
#include "guest/lambda/lean_channel.h"
#include "io/park.h"

namespace mayfly::guest {

void LeanChannel::on_stream(Event& event, const FrameReader::Frame& frame) {
  if (frame.head.type == FrameType::stream) {
    auto body = parse_labelled_body(frame.body);
    if (!body || frame.oversized || event.intake) {
      return fail_corrupt("the guest's stream does not begin");
    }
    event.intake = std::make_unique<Intake>();
    auto& intake = *event.intake;
    intake.collects = event.stream == nullptr;
    intake.limit = intake.collects ? bounds_.whole : bounds_.streamed;
    intake.to = intake.collects ? std::make_shared<AnswerStream>(loop_) : std::move(event.stream);
    intake.to->begin(body->label);
    return wake(event.waiting);
  }
  if (!event.intake) return fail_corrupt("the guest sent a part of no stream");
  if (frame.head.type == FrameType::stream_end) {
    if (!event.intake->oversized) event.intake->to->flow.end();
    return;
  }
  std::uint64_t received = shared_ ? event.intake->received : received_;
  if (received + frame.head.length > (shared_ ? event.intake->granted : granted_)) {
    return fail_corrupt("the guest sent more than it was granted");
  }
  received_ += frame.head.length;
  event.intake->add(frame.body);
}

Result<InvokeReply> LeanChannel::streamed_reply_of(Intake& intake,
                                                   const FrameReader::Frame& frame) {
  if (intake.oversized) return std::unexpected(response_too_large(intake.limit));
  InvokeReply reply;
  reply.streamed = true;
  reply.output = frame.head.output;
  if (frame.head.type == FrameType::error) {
    TRY_ASSIGN(auto body, parse_labelled_body(frame.body));
    if (frame.oversized) return std::unexpected(response_too_large());
    reply.is_error = true;
    reply.error_type = checked_error_type(body.label);
    reply.payload = body.rest;
  } else {
    reply.content_type = intake.to->content_type;
    reply.payload = std::move(intake.collected);
  }
  return reply;
}

void LeanChannel::grant_window(Event& event) {
  (shared_ ? event.intake->granted : granted_) += limits::stream_window_bytes;
  socket_->send(encode_credit(limits::stream_window_bytes, shared_ ? event.sequence : 0));
}

io::Task<void> LeanChannel::grant(Event& event, Deadline deadline, std::stop_token stop) {
  auto& intake = *event.intake;
  std::uint64_t before = received_ - intake.received;  // by earlier calls
  while (true) {
    std::uint64_t granted = shared_ ? intake.granted : granted_ - before;
    std::uint64_t enough = granted - limits::stream_window_bytes;
    auto wake = co_await intake.to->flow.wait_taken(enough, deadline, stop);
    if (wake != io::Wake::notified || stop.stop_requested()) co_return;
    grant_window(event);
  }
}

io::Task<Result<InvokeReply>> LeanChannel::streamed_answer(Events::iterator event,
                                                           Deadline deadline) {
  io::TaskScope beside(loop_);
  beside.spawn(grant(*event, deadline, beside.stop_token()));
  bool late = false;
  while (!event->reply && !end_ && !late) {
    late = overdue(*event, deadline);
    if (!event->reply && !end_ && !late) co_await Until{*this, event->waiting, deadline};
  }
  co_await beside.close();
  // What is left of the answer is thrown away.
  while (!shared_ && granted_ - received_ <= limits::stream_window_bytes) grant_window(*event);
  pulled_ = true;  // one reading may have brought the whole of a long answer
  Result<InvokeReply> reply = fail(ErrorKind::timeout, "the guest's answer: timed out");
  if (event->reply) {
    reply = std::move(*event->reply);
  } else if (!late) {
    reply = std::unexpected(*end_);
  }
  forget(event);
  co_return reply;
}

}  // namespace mayfly::guest
