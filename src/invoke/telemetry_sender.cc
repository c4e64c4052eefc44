#include "invoke/telemetry_sender.h"

#include <array>

#include "base/log.h"
#include "invoke/log_text.h"
#include "io/http1.h"

namespace mayfly::invoke {
namespace {

constexpr auto retry_first = std::chrono::milliseconds(100);
constexpr auto retry_most = std::chrono::seconds(2);
// While a batch is under way, as much again may gather.
constexpr std::size_t held_windows = 2;
constexpr std::size_t answer_bytes = 64 * limits::kib;

std::string dropped_event(WallTime now, std::size_t records, std::size_t bytes) {
  return fmt::format(
      R"({{"time":"{}","type":"platform.logsDropped","record":{{"droppedBytes":{},)"
      R"("droppedRecords":{},"reason":"Consumer seems to have fallen behind as it has not )"
      R"(acknowledged receipt of logs."}}}})",
      iso_millis(now), bytes, records);
}

struct Answer {
  int status = 0;
  bool keep_alive = false;
};

// Its body is read and thrown away.
io::Task<Result<Answer>> read_answer(io::Stream& stream, std::stop_token stop) {
  io::http1::Reader reader(io::http1::Reader::Side::responses);
  std::string input;
  std::array<char, 4096> chunk{};
  std::size_t head_bytes = 0;
  std::size_t seen = 0;
  while (true) {
    auto got = co_await stream.read(chunk, no_deadline, stop);
    if (!got) co_return std::unexpected(std::move(got).error());
    bool ended = *got == 0;
    input.append(chunk.data(), *got);
    seen += *got;
    if (seen > answer_bytes) co_return fail(ErrorKind::too_large, "the answer is too long");
    if (head_bytes == 0) {
      auto read = reader.read_head(input);
      if (!read) co_return fail(ErrorKind::corrupt, read.error().text);
      head_bytes = *read;
      if (head_bytes > 0) input.erase(0, head_bytes);
    }
    while (head_bytes > 0 && !reader.body_complete() && !input.empty()) {
      auto piece = reader.read_body(input);
      if (!piece) co_return fail(ErrorKind::corrupt, piece.error().text);
      input.erase(0, piece->consumed);
      if (piece->end || piece->consumed == 0) break;
    }
    if (head_bytes > 0 && (reader.body_complete() || (ended && reader.end_of_stream()))) {
      co_return Answer{reader.head().status, reader.head().keep_alive && !ended};
    }
    if (ended) co_return fail(ErrorKind::unavailable, "the connection ended");
  }
}

}  // namespace

TelemetrySender::TelemetrySender(io::Loop& loop, Subscription subscription, io::Fd socket)
    : loop_(loop),
      subscription_(std::move(subscription)),
      socket_(std::move(socket)),
      changed_(loop),
      tasks_(loop) {
  tasks_.spawn(run());
}

void TelemetrySender::replace(Subscription subscription) {
  subscription_ = std::move(subscription);
  if (!delivering_) stream_.reset();
  changed_.wake_all();
}

bool TelemetrySender::is_full() const {
  return events_.size() >= subscription_.max_items || bytes_ >= subscription_.max_bytes;
}

void TelemetrySender::add(std::string event) {
  bool room = events_.size() < held_windows * subscription_.max_items &&
              bytes_ + event.size() <= held_windows * subscription_.max_bytes;
  if (!room) {
    ++dropped_records_;
    dropped_bytes_ += event.size();
    return;
  }
  if (events_.empty()) first_at_ = loop_.now();
  bytes_ += event.size();
  events_.push_back(std::move(event));
  if (events_.size() == 1 || is_full()) changed_.wake_all();
}

void TelemetrySender::flush() {
  if (events_.empty()) return;
  flushing_ = true;
  changed_.wake_all();
}

TelemetrySender::Batch TelemetrySender::take() {
  Batch out;
  while (!events_.empty() && out.events.size() < subscription_.max_items &&
         (out.events.empty() || out.bytes + events_.front().size() <= subscription_.max_bytes)) {
    out.bytes += events_.front().size();
    out.events.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  bytes_ -= out.bytes;
  first_at_ = loop_.now();
  if (dropped_records_ > 0) {
    out.events.push_back(dropped_event(loop_.clock().platform(), std::exchange(dropped_records_, 0),
                                       std::exchange(dropped_bytes_, 0)));
  }
  return out;
}

io::Task<io::Wake> TelemetrySender::wait_for_batch(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (!events_.empty() && (flushing_ || is_full())) co_return io::Wake::notified;
    MonoTime due = events_.empty() ? no_deadline : first_at_ + subscription_.timeout;
    if (!events_.empty() && loop_.now() >= due) co_return io::Wake::notified;
    if (events_.empty()) flushing_ = false;
    co_await changed_.park(due, stop);
  }
  co_return io::Wake::cancelled;
}

io::Task<void> TelemetrySender::run() {
  auto stop = tasks_.stop_token();
  while (co_await wait_for_batch(stop) == io::Wake::notified) {
    Batch batch = take();
    delivering_ = true;
    Duration pause = retry_first;
    while (true) {
      auto delivered = co_await deliver(batch);
      if (delivered || stop.stop_requested()) break;
      log::debug("invoke", "telemetry to port {}: {}", subscription_.port,
                 delivered.error().message);
      stream_.reset();
      co_await io::sleep_for(loop_, pause, stop);
      pause = std::min<Duration>(2 * pause, retry_most);
    }
    delivering_ = false;
  }
}

io::Task<Result<>> TelemetrySender::connect() {
  if (stream_) {
    // Nobody answers before we ask: what is there is the connection's end.
    std::array<char, 1> byte{};
    auto got = stream_->read_some(byte);
    bool tcp = subscription_.protocol == Subscription::Protocol::tcp;
    if (got && (!*got || (tcp && **got > 0))) co_return Result<>{};
    stream_.reset();
  }
  CO_TRY_ASSIGN(auto fd,
                co_await io::connect_over(loop_, socket_, subscription_.port, no_deadline));
  stream_.emplace(loop_, std::move(fd));
  co_return Result<>{};
}

io::Task<Result<>> TelemetrySender::deliver(const Batch& batch) {
  bool http = subscription_.protocol == Subscription::Protocol::http;
  std::string body;
  body.reserve(batch.bytes + 2 * batch.events.size() + 2);
  for (const auto& event : batch.events) {
    if (http) body += body.empty() ? "[" : ",";
    body += event;
    if (!http) body += '\n';
  }
  if (http) body += ']';
  CO_TRY(co_await connect());
  if (http) co_return co_await post(body);
  co_return co_await stream_->write_all(body, no_deadline, tasks_.stop_token());
}

io::Task<Result<>> TelemetrySender::post(std::string_view body) {
  std::string head;
  io::http1::Writer writer(head);
  writer.request_line(subscription_.method, subscription_.path);
  writer.field("Host", subscription_.host);
  writer.field("Content-Type", "application/json");
  writer.field("Content-Length", body.size());
  writer.end_head();
  auto stop = tasks_.stop_token();
  CO_TRY(co_await stream_->write_all(head, body, no_deadline, stop));
  CO_TRY_ASSIGN(auto answer, co_await read_answer(*stream_, stop));
  if (!answer.keep_alive) stream_.reset();
  if (answer.status >= 400) {
    co_return fail(ErrorKind::unavailable, fmt::format("it answers {}", answer.status));
  }
  co_return Result<>{};
}

io::Task<void> TelemetrySender::close() {
  tasks_.request_stop();
  co_await tasks_.close();
  stream_.reset();
}

}  // namespace mayfly::invoke
