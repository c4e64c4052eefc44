#include "guest/lambda/lean.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "guest/lambda/lean_channel.h"

namespace mayfly::guest {

void LeanChannel::arm(Deadline deadline) {
  if (deadline == no_deadline || (timer_ && timer_->first <= deadline)) return;
  if (timer_) loop_.cancel_timer(*timer_);
  timer_ = loop_.add_timer(deadline, [this] {
    timer_.reset();
    on_timer();
  });
}

void LeanChannel::on_timer() {
  MonoTime now = loop_.now();
  Deadline next = no_deadline;
  auto look = [&](Waiting& waiting) {
    if (!waiting.handle) return;
    if (waiting.deadline <= now) return wake(waiting);
    next = std::min(next, waiting.deadline);
  };
  look(init_waiting_);
  for (auto& event : events_) look(event.waiting);
  arm(next);
}

void LeanChannel::wake(Waiting& waiting) {
  if (waiting.handle) loop_.make_ready(std::exchange(waiting.handle, {}));
}

void LeanChannel::end(Error error) {
  if (!end_) end_ = std::move(error);
  wake(init_waiting_);
  for (auto& event : events_) wake(event.waiting);
}

void LeanChannel::fail_corrupt(std::string message) {
  end(Error{ErrorKind::corrupt, std::move(message), {}});
}

void LeanChannel::on_end() {
  pull_answers();
  end(Error{ErrorKind::unavailable, "the guest process closed its channel", {}});
}

void LeanChannel::feed(FrameReader& frames, std::string_view bytes) {
  if (end_ && end_->kind == ErrorKind::corrupt) return;
  auto fed = frames.feed(bytes, [&](const FrameReader::Frame& frame) {
    bool answers = frame.head.type == FrameType::response || frame.head.type == FrameType::error;
    if (&frames == &mapped_frames_ && !answers)
      return fail_corrupt("no answer, but in their memory");
    on_frame(frame);
  });
  if (!fed) end(std::move(fed).error());
}

void LeanChannel::take_answers() {
  if (mapped_ == nullptr) return;
  std::array<char, io::ByteRing::room> copy;
  // Each time at least one answer of those that are due: a guest that goes on is not waited for.
  std::size_t due = events_.size();
  while (true) {
    auto bytes = mapped_->take(copy);
    if (bytes.empty() || due == 0) {
      if (!bytes.empty() || !mapped_->sound()) fail_corrupt("the guest answers what nobody asked");
      return;
    }
    feed(mapped_frames_, bytes);
    --due;
  }
}

// Reads what is there now, without waiting to be told.
void LeanChannel::pull_answers() {
  if (answers_) answers_->pull();
  take_answers();
}

void LeanChannel::on_frame(const FrameReader::Frame& frame) {
  switch (frame.head.type) {
    case FrameType::ready:
    case FrameType::init_error:
    case FrameType::parked: return on_init(frame);
    case FrameType::pipes: return on_pipes(frame);
    case FrameType::notice:
      return;  // what it tells of is looked for behind every frame of the pipe
    case FrameType::response:
    case FrameType::error:
    case FrameType::returned:
    case FrameType::stream:
    case FrameType::part:
    case FrameType::stream_end: break;
    default: return fail_corrupt("the guest sent a frame of the host's");
  }
  auto event = find(frame.head.sequence);
  if (event == events_.end() || event->reply || event->back) {
    return fail_corrupt("the guest answered out of turn");
  }
  switch (frame.head.type) {
    case FrameType::returned: event->back = true; break;
    case FrameType::response:
    case FrameType::error:
      event->reply = event->intake ? streamed_reply_of(*event->intake, frame) : reply_of(frame);
      break;
    default: return on_stream(*event, frame);
  }
  wake(event->waiting);
}

void LeanChannel::on_init(const FrameReader::Frame& frame) {
  if (!events_.empty()) return fail_corrupt("the guest begins anew");
  InitReply reply;
  if (frame.head.type == FrameType::ready) {
    reply.ok = true;
    can_map_ = frame.head.sequence == 2;
    can_open_ = can_map_ || frame.head.sequence == 1;
    if (auto micros = frame.head.busy_micros; micros > 0) {
      reply.restored = std::chrono::microseconds(micros);
    }
  } else {
    auto body = parse_labelled_body(frame.body);
    if (!body || frame.oversized) return fail_corrupt("the guest's first frame is not to be read");
    if (frame.head.type == FrameType::parked) {
      reply.parked = std::string(body->label);
    } else {
      reply.error_payload = std::string(body->rest);
      reply.error_type = checked_error_type(body->label);
    }
  }
  init_ = std::move(reply);
  wake(init_waiting_);
}

Result<InvokeReply> LeanChannel::reply_of(const FrameReader::Frame& frame) const {
  InvokeReply reply;
  reply.is_error = frame.head.type == FrameType::error;
  reply.output = frame.head.output;
  TRY_ASSIGN(auto body, parse_labelled_body(frame.body));
  if (frame.head.busy_micros > 0) reply.busy = std::chrono::microseconds(frame.head.busy_micros);
  if (frame.oversized || body.rest.size() > bounds_.whole) {
    return std::unexpected(response_too_large(bounds_.whole));
  }
  reply.payload = body.rest;
  if (reply.is_error) {
    reply.error_type = checked_error_type(body.label);
  } else {
    reply.content_type = body.label.empty() ? std::string_view("application/json") : body.label;
  }
  return reply;
}

io::Task<Result<InitReply>> LeanChannel::wait_init(Deadline deadline) {
  while (!init_) {
    if (end_) co_return std::unexpected(*end_);
    if (loop_.now() >= deadline) co_return fail(ErrorKind::timeout, "the guest's init: timed out");
    co_await Until{*this, init_waiting_, deadline};
  }
  auto out = std::move(*init_);
  init_.reset();
  co_return out;
}

// ---- pipes ------------------------------------------------------------------------------------

Result<> LeanChannel::open_ring() {
  TRY_ASSIGN(auto events, io::RecordRing::make());
  TRY_ASSIGN(auto answers, io::make_pipe());
  TRY_ASSIGN(auto mapped, io::ByteRing::make());
  std::array<int, 4> theirs{events.bell.get(), answers.write_end.get(), events.memory.get(),
                            mapped.memory.get()};
  TRY(io::send_descriptors(socket_->fd(), theirs));
  records_ = std::move(events.ring);
  mapped_ = std::move(mapped.ring);
  answers_.emplace(loop_, std::move(answers.read_end), *this);
  return {};
}

Result<> LeanChannel::open_pipes() {
  if (can_map_) return open_ring();
  TRY_ASSIGN(auto events, io::RecordPipe::make());
  TRY_ASSIGN(auto answers, io::make_pipe());
  std::array<int, 2> theirs{events.second.get(), answers.write_end.get()};
  TRY(io::send_descriptors(socket_->fd(), theirs));
  records_ = std::make_unique<io::RecordPipe>(std::move(events.first));
  answers_.emplace(loop_, std::move(answers.read_end), *this);
  return {};
}

void LeanChannel::on_pipes(const FrameReader::Frame& frame) {
  auto body = parse_labelled_body(frame.body);
  if (!body || !std::exchange(opening_, false))
    return fail_corrupt("the guest opens pipes unasked");
  can_open_ = false;  // it has been done, or cannot be
  if (!body->label.empty()) {
    log::info("guest", "events go without pipes: {}", body->label);
  } else if (auto opened = open_pipes(); !opened) {
    end(std::move(opened).error());  // the guest waits for what does not come
  }
  for (auto& event : events_) wake(event.waiting);
}

// ---- events -----------------------------------------------------------------------------------

LeanChannel::Events::iterator LeanChannel::add(const InvokeRequest& request) {
  if (free_.empty()) free_.emplace_back();
  events_.splice(events_.end(), free_, free_.begin());
  auto event = std::prev(events_.end());
  *event = Event{};
  event->sequence = ++sequence_;
  event->stream = request.stream;
  return event;
}

void LeanChannel::forget(Events::iterator event) {
  event->stream.reset();
  event->intake.reset();
  free_.splice(free_.begin(), events_, event);
}

LeanChannel::Events::iterator LeanChannel::find(std::uint32_t sequence) {
  return std::ranges::find(events_, sequence, &Event::sequence);
}

// While nothing that the guest has not taken stands before it.
Result<> LeanChannel::hand_over(const InvokeRequest& request, std::uint32_t sequence) {
  if (!shared_ || events_.size() == 1) pulled_ = false;
  out_.clear();
  TRY(encode_invoke_head(out_, request, sequence, When::now));
  if (shared_) {
    put_later(sequence, out_, request.payload);
    return {};
  }
  if (records_ == nullptr) {
    socket_->send(out_, request.payload);
    return {};
  }
  if (out_.size() + request.payload.size() <= io::Records::record_max_bytes) {
    put_later(sequence, out_, request.payload);
    return {};
  }
  socket_->send(out_, request.payload);
  put_later(0, encode_bare_frame(FrameType::elsewhere), {});
  return {};
}

void LeanChannel::put_later(std::uint32_t sequence, std::string_view head,
                            std::string_view payload) {
  if (unsent_.empty()) loop_.at_turn_end(*this);
  unsent_.push_back({sequence, head.size() + payload.size()});
  unsent_bytes_.append(head).append(payload);
}

// One that finds no room goes out again when it is taken up. The first in the pipe always does.
void LeanChannel::on_turn_end() {
  if (shared_) {
    unsent_.clear();
    return socket_->send(std::exchange(unsent_bytes_, {}));
  }
  std::string_view bytes = unsent_bytes_;
  for (const auto& [sequence, size] : unsent_) {
    bool put = records_->put(bytes.substr(0, size));
    bytes.remove_prefix(size);
    auto event = find(sequence);
    if (put || event == events_.end()) continue;
    event->back = true;
    wake(event->waiting);
  }
  unsent_.clear();
  unsent_bytes_.clear();
  records_->tell();
  check_records();
}

void LeanChannel::check_records() {
  if (!records_->sound()) fail_corrupt("the guest has taken events that there are not");
}

io::Task<Result<InvokeReply>> LeanChannel::answer(Events::iterator event,
                                                  const InvokeRequest* request, Deadline deadline) {
  while (!event->reply && !event->intake) {
    if (end_) {
      auto error = *end_;
      forget(event);
      co_return std::unexpected(std::move(error));
    }
    if (event->back && request == nullptr) {
      forget(event);
      co_return fail(ErrorKind::conflict, "the guest does not have this event any more");
    }
    if (std::exchange(event->back, false)) {
      event->sequence = ++sequence_;
      if (auto handed = hand_over(*request, event->sequence); !handed) end(handed.error());
      continue;
    }
    if (overdue(*event, deadline)) {
      forget(event);
      co_return fail(ErrorKind::timeout, "the guest's answer: timed out");
    }
    if (event->reply || end_) continue;
    co_await Until{*this, event->waiting, deadline};
  }
  if (event->intake) co_return co_await streamed_answer(event, deadline);
  auto reply = std::move(*event->reply);
  forget(event);
  co_return reply;
}

// Before an event counts as not answered in time: those behind it are called back first, and then
// an answer is looked for. So none of them can have been taken without the answer being seen.
void LeanChannel::look_again() {
  recall();
  pulled_ = true;
  socket_->pull();
  pull_answers();
}

bool LeanChannel::overdue(const Event& event, Deadline deadline) {
  if (deadline == no_deadline || loop_.now() < deadline) return false;
  look_again();
  if (event.reply || end_) return false;
  end(Error{ErrorKind::unavailable, "the guest's channel is out of step", {}});
  return true;
}

io::Task<Result<InvokeReply>> LeanChannel::prepared_invoke(const InvokeRequest& request,
                                                           Deadline deadline) {
  auto event = add(request);
  opening_ = true;
  socket_->send(encode_bare_frame(FrameType::pipes));
  while (opening_ && !end_ && loop_.now() < deadline) {
    co_await Until{*this, event->waiting, deadline};
  }
  if (!end_ && !opening_) {
    if (auto handed = hand_over(request, event->sequence); !handed) end(handed.error());
  }
  co_return co_await answer(event, &request, deadline);
}

io::Task<Result<InvokeReply>> LeanChannel::invoke(const InvokeRequest& request, Deadline deadline) {
  if (end_) {
    bool cancelled = end_->kind == ErrorKind::cancelled;
    return failed({cancelled ? end_->kind : ErrorKind::unavailable, end_->message, {}});
  }
  if (wanted_ && can_open_ && !shared_ && events_.empty())
    return prepared_invoke(request, deadline);
  auto event = add(request);
  if (auto handed = hand_over(request, event->sequence); !handed) {
    forget(event);
    return failed(handed.error());
  }
  return answer(event, &request, deadline);
}

std::uint32_t LeanChannel::send_ahead(const InvokeRequest& request) {
  if (!takes_ahead()) return 0;
  out_.clear();
  if (!encode_invoke_head(out_, request, sequence_ + 1, When::ahead)) return 0;
  if (out_.size() + request.payload.size() > io::Records::record_max_bytes) return 0;
  auto sequence = add(request)->sequence;
  put_later(sequence, out_, request.payload);
  return sequence;
}

io::Task<Result<InvokeReply>> LeanChannel::take_up(std::uint32_t number, Deadline deadline) {
  auto event = find(number);
  if (event == events_.end()) return GuestChannel::take_up(number, deadline);
  pulled_ = false;
  return answer(event, nullptr, deadline);
}

void LeanChannel::recall() {
  if (records_ == nullptr) return;
  if (!unsent_.empty()) on_turn_end();
  std::array<char, io::Records::record_max_bytes> record;
  bool elsewhere = false;
  while (true) {
    auto bytes = records_->take_back(record);
    if (bytes.size() < frame_head_bytes) break;
    auto head = parse_frame_head(bytes);
    if (!head) continue;
    elsewhere = elsewhere || head->type == FrameType::elsewhere;
    auto event = find(head->sequence);
    if (event == events_.end()) continue;
    event->back = true;
    wake(event->waiting);  // the one under way goes out again
  }
  // Its event lies on the socket already.
  if (elsewhere) records_->put(encode_bare_frame(FrameType::elsewhere));
  records_->tell();
  check_records();
}

bool LeanChannel::withdraw(std::uint32_t number) {
  auto event = find(number);
  if (event == events_.end() || !event->back) return false;
  forget(event);
  return true;
}

std::unique_ptr<GuestChannel> make_lean_channel(io::Loop& loop, io::Fd socket) {
  return std::make_unique<LeanChannel>(loop, std::move(socket));
}

}  // namespace mayfly::guest
