#include "front/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "io/send_now.h"
#include "wire/text.h"

namespace mayfly::front {

namespace http1 = io::http1;

namespace {

constexpr std::size_t small_buffer = 4 * limits::kib;  // what an idle connection keeps
constexpr std::size_t read_step = 256 * limits::kib;
// A refused body up to this size is read away, so that the connection can go on.
constexpr std::size_t skipped_body_bytes = 64 * limits::kib;
// A client that is still sending gets this much time and attention to see its answer.
constexpr auto linger_time = std::chrono::seconds(2);
constexpr std::size_t linger_bytes = limits::mib;

std::unexpected<http1::Refusal> refused(int status, std::string text) {
  return std::unexpected(http1::Refusal{status, std::move(text)});
}

// Fields of an answer that are made here.
bool is_ours(std::string_view name) {
  switch (name.size()) {
    case 4: return http1::equals_ignoring_case(name, "date");
    case 10: return http1::equals_ignoring_case(name, "connection");
    case 14: return http1::equals_ignoring_case(name, "content-length");
    case 17: return http1::equals_ignoring_case(name, "transfer-encoding");
    default: return false;
  }
}

bool is_bodiless(int status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

Connection::Connection(io::Loop& loop, io::Fd fd, Peer peer, Handler& handler, Gauges& gauges)
    : loop_(loop),
      peer_(std::move(peer)),
      handler_(handler),
      gauges_(gauges),
      reader_(http1::Reader::Side::requests),
      buffer_(small_buffer),
      stream_(loop, std::move(fd)) {
  ++gauges_.connections;
}

Connection::~Connection() {
  if (idle_timer_) loop_.cancel_timer(*idle_timer_);
  release();
  --gauges_.connections;
}

bool Connection::reserve(std::size_t bytes) {
  if (gauges_.body_bytes + bytes > gauges_.max_body_bytes) return false;
  gauges_.body_bytes += bytes;
  reserved_ += bytes;
  return true;
}

void Connection::release() {
  gauges_.body_bytes -= reserved_;
  reserved_ = 0;
}

void Connection::drain() {
  if (idle_) cut();
}

std::string_view Connection::date() {
  if (loop_.lately() < gauges_.date_until) return gauges_.date;
  std::int64_t now = epoch_millis(loop_.clock().wall());
  std::int64_t second = now / 1000;
  gauges_.date_until = loop_.lately() + std::chrono::milliseconds(1000 - now % 1000);
  if (gauges_.date_second != second) {
    gauges_.date_second = second;
    gauges_.date = wire::format_rfc822(second * 1000);
  }
  return gauges_.date;
}

void Connection::watch_idling() {
  idle_timer_ = loop_.add_timer(idle_since_ + limits::http_keep_alive_time, [this] {
    idle_timer_.reset();
    if (!idle_) return;
    if (loop_.now() >= idle_since_ + limits::http_keep_alive_time) return stream_.cancel();
    watch_idling();
  });
}

// Reads what is there into the buffer; false at the end of the stream, a time or an error.
io::Task<bool> Connection::fill(Deadline deadline) {
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  auto got = co_await stream_.read(std::span(buffer_).subspan(end_), deadline, stop_);
  if (!got || *got == 0) co_return false;
  end_ += *got;
  co_return true;
}

// true: a head is there. false: the client is gone or was silent.
io::Task<std::expected<bool, http1::Refusal>> Connection::read_head() {
  if (!head_bytes_.empty()) std::vector<char>().swap(head_bytes_);
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == 0) {
    if (buffer_.size() > small_buffer) std::vector<char>(small_buffer).swap(buffer_);
    if (gauges_.draining) co_return false;
    idle_ = true;
    idle_since_ = loop_.lately();
    if (!idle_timer_) watch_idling();
    auto got = co_await stream_.read(buffer_, no_deadline, stop_);
    idle_ = false;
    if (!got || *got == 0) co_return false;
    end_ = *got;
  }
  std::optional<MonoTime> deadline;
  while (true) {
    auto size = reader_.read_head({buffer_.data(), end_});
    if (!size) co_return std::unexpected(std::move(size).error());
    if (*size > 0) {
      begin_ = *size;
      co_return true;
    }
    if (!deadline) deadline = loop_.now() + limits::http_head_time;
    if (co_await fill(*deadline)) continue;
    if (loop_.now() >= *deadline) co_return refused(408, "the head did not arrive in time");
    co_return false;
  }
}

io::Task<std::expected<void, http1::Refusal>> Connection::read_sized(Body& body,
                                                                     wire::Sha256* hash) {
  std::size_t size = reader_.head().content_length;
  // Bytes that are announced but not sent take no memory: the room grows with what arrives.
  body.bytes.reserve(std::min(size, read_step));
  auto piece = reader_.read_body(unread());
  if (!piece) co_return std::unexpected(std::move(piece).error());
  body.bytes = piece->data;
  begin_ += piece->consumed;
  if (hash != nullptr) hash->update(piece->data);
  Deadline whole = loop_.now() + limits::http_body_idle_time +
                   std::chrono::seconds(size / limits::http_body_bytes_per_second);
  while (body.bytes.size() < size) {
    std::size_t have = body.bytes.size();
    std::size_t step = std::min(size - have, std::max(have, read_step));
    if (!reserve(step)) co_return refused(503, "too many bodies at once");
    body.bytes.resize_and_overwrite(have + step, [&](char*, std::size_t) { return have + step; });
    std::size_t filled = have;
    while (filled < have + step) {
      Deadline deadline = std::min(whole, loop_.now() + limits::http_body_idle_time);
      auto got = co_await stream_.read(std::span(body.bytes).subspan(filled), deadline, stop_);
      if (!got && got.error().kind == ErrorKind::timeout) {
        co_return refused(408, "the body did not arrive in time");
      }
      if (!got || *got == 0) co_return refused(400, "the body was cut off");
      if (hash != nullptr) hash->update(std::string_view(body.bytes).substr(filled, *got));
      filled += *got;
      reader_.body_taken(*got);
    }
  }
  co_return std::expected<void, http1::Refusal>{};
}

io::Task<std::expected<void, http1::Refusal>> Connection::read_chunks(Body& body, std::size_t limit,
                                                                      wire::Sha256* hash) {
  // The head's bytes stay where they are (views point there), so chunks get a buffer of their own.
  std::vector<char> chunk(unread().begin(), unread().end());
  std::size_t filled = chunk.size();
  begin_ = end_;
  std::size_t used = 0;
  Deadline whole = loop_.now() + limits::http_body_idle_time +
                   std::chrono::seconds(limit / limits::http_body_bytes_per_second);
  while (true) {
    auto piece = reader_.read_body({chunk.data() + used, filled - used});
    if (!piece) co_return std::unexpected(std::move(piece).error());
    used += piece->consumed;
    if (!piece->data.empty()) {
      if (body.bytes.size() + piece->data.size() > limit) {
        co_return refused(413, "the body is too large");
      }
      if (!reserve(piece->data.size())) co_return refused(503, "too many bodies at once");
      body.bytes += piece->data;
      if (hash != nullptr) hash->update(piece->data);
    }
    if (piece->end) break;
    if (piece->consumed > 0 && used < filled) continue;
    chunk.resize(64 * limits::kib);
    used = 0;
    Deadline deadline = std::min(whole, loop_.now() + limits::http_body_idle_time);
    auto got = co_await stream_.read(chunk, deadline, stop_);
    if (!got && got.error().kind == ErrorKind::timeout) {
      co_return refused(408, "the body did not arrive in time");
    }
    if (!got || *got == 0) co_return refused(400, "the body was cut off");
    filled = *got;
  }
  give_back({chunk.data() + used, filled - used});
  co_return std::expected<void, http1::Refusal>{};
}

// What follows a body is the next request: back into the connection's buffer.
void Connection::give_back(std::string_view left) {
  if (buffer_.size() < begin_ + left.size()) {
    // Views of the head point into the bytes there were.
    std::vector<char> wider(begin_ + left.size());
    std::ranges::copy(buffer_, wider.begin());
    head_bytes_ = std::exchange(buffer_, std::move(wider));
  }
  std::ranges::copy(left, buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  end_ = begin_ + left.size();
}

// Where the client waits for it; false: the connection is gone.
io::Task<bool> Connection::send_continue() {
  const http1::Head& head = reader_.head();
  if (!head.expects_continue || head.minor != 1 || !unread().empty()) co_return true;
  continue_sent_ = true;
  co_return co_await write_bytes("HTTP/1.1 100 Continue\r\n\r\n", {});
}

std::optional<Body> Connection::body_at_hand(std::size_t limit, bool hash) {
  const http1::Head& head = reader_.head();
  std::optional<Body> out;
  if (!reader_.body_complete()) {
    bool there = head.framing == http1::Framing::length && head.content_length <= limit &&
                 head.content_length <= unread().size() &&
                 gauges_.body_bytes + head.content_length <= gauges_.max_body_bytes;
    auto piece = there ? reader_.read_body(unread()) : http1::Piece{};
    if (!piece || !piece->end) return out;
    out.emplace().bytes = piece->data;
    begin_ += piece->consumed;
  } else {
    out.emplace();
  }
  if (hash) {
    wire::Sha256 sha;
    sha.update(out->bytes);
    out->sha256 = sha.finish_hex();
  }
  return out;
}

io::Task<std::expected<Body, http1::Refusal>> Connection::read_body(std::size_t limit, bool hash) {
  const http1::Head& head = reader_.head();
  Body body;
  std::optional<wire::Sha256> sha;
  if (hash) sha.emplace();
  if (!reader_.body_complete()) {
    bool sized = head.framing == http1::Framing::length;
    if (sized && head.content_length > limit) co_return refused(413, "the body is too large");
    if (sized && gauges_.body_bytes + head.content_length > gauges_.max_body_bytes) {
      co_return refused(503, "too many bodies at once");
    }
    if (!co_await send_continue()) {
      broken_ = true;
      co_return refused(400, "the connection is gone");
    }
    auto done = sized ? co_await read_sized(body, sha ? &*sha : nullptr)
                      : co_await read_chunks(body, limit, sha ? &*sha : nullptr);
    if (!done) {
      broken_ = true;
      co_return std::unexpected(std::move(done).error());
    }
  }
  if (sha) body.sha256 = sha->finish_hex();
  co_return body;
}

io::Task<bool> Connection::write_bytes(std::string_view head, std::string_view body) {
  auto put = co_await stream_.write_patiently(head, body, limits::http_write_idle_time, stop_);
  co_return put.has_value();
}

// A streamed body whose length is not known comes in chunks, or (HTTP/1.0) lasts until the
// connection's end.
void Connection::append_head(const Response& response, bool keep_alive, bool head_only) {
  out_.clear();
  http1::Writer writer(out_);
  writer.status_line(response.status);
  writer.field("Date", date());
  for (const auto& [name, value] : response.headers) {
    if (!is_ours(name)) writer.field(name, value);
  }
  bool old = reader_.head().minor == 0;
  if (!is_bodiless(response.status)) {
    if (response.stream_bytes && (response.stream || head_only)) {
      writer.field("Content-Length", *response.stream_bytes);
    } else if (!response.stream) {
      writer.field("Content-Length", response.body.size());
    } else if (!old) {
      writer.field("Transfer-Encoding", "chunked");
    }
  }
  if (!keep_alive) {
    writer.field("Connection", "close");
  } else if (old) {
    writer.field("Connection", "keep-alive");
  }
  writer.end_head();
}

io::Task<bool> Connection::write(Response response, bool keep_alive, bool head_only) {
  append_head(response, keep_alive, head_only);
  bool bare = is_bodiless(response.status) || head_only;
  std::string_view body = bare ? std::string_view() : response.body;
  // Small answers go out as one piece of memory, large ones without being copied.
  if (body.size() <= small_buffer) {
    out_ += body;
    body = {};
  }
  // Clients that are answered together, one woken for all, come back together.
  co_await loop_.turn_end();
  std::string_view rest = out_;
  if (body.empty()) rest.remove_prefix(io::send_now(stream_.fd(), rest));
  co_return rest.empty() || co_await write_bytes(rest, body);
}

// The body is asked for its next part when the client has taken the one before: a slow client makes
// its maker wait. False: the client, or the body, is not whole.
io::Task<bool> Connection::write_stream(Response response, bool keep_alive, bool head_only) {
  append_head(response, keep_alive, head_only);
  if (is_bodiless(response.status) || head_only) {
    response.stream.reset();
    co_return co_await write_bytes(out_, {});
  }
  const auto declared = response.stream_bytes;
  bool chunked = reader_.head().minor == 1 && !declared;
  std::uint64_t sent = 0;
  stream_.limit_unsent(limits::stream_unsent_bytes);
  stream_.on_hangup([this] { gone_.request_stop(); });
  std::stop_callback on_stop(stop_, [this] { gone_.request_stop(); });
  if (!co_await write_bytes(out_, {})) co_return false;
  http1::Writer writer(out_);
  while (true) {
    auto part = co_await response.stream->next(gone_.get_token());
    if (!part) {
      // Without chunks an end is all that a client sees: only a reset tells it otherwise.
      if (!chunked) stream_.reset_on_close();
      co_return false;
    }
    sent += part->size();
    // More than was declared would be read as the next answer; less leaves its reader waiting.
    if (declared && (sent > *declared || (part->empty() && sent < *declared))) co_return false;
    out_.clear();
    if (part->empty()) {
      if (chunked) writer.last_chunk();
      co_return co_await write_bytes(out_, {});
    }
    if (chunked) {
      writer.chunk_head(part->size());
      *part += "\r\n";
    }
    if (!co_await write_bytes(out_, *part)) co_return false;
  }
}

// Reads away a small body that nobody wanted; false when the connection cannot go on.
io::Task<bool> Connection::skip_body() {
  if (reader_.body_complete()) co_return true;
  const http1::Head& head = reader_.head();
  if (head.framing != http1::Framing::length || reader_.body_missing() > skipped_body_bytes ||
      (head.expects_continue && !continue_sent_)) {
    co_return false;
  }
  while (!reader_.body_complete()) {
    auto piece = reader_.read_body(unread());
    if (!piece) co_return false;
    begin_ += piece->consumed;
    if (piece->end) break;
    begin_ = end_ = 0;  // the answer is out: nobody needs the head any more
    if (!co_await fill(loop_.now() + limits::http_body_idle_time)) co_return false;
  }
  co_return true;
}

// Closing with unread bytes in the socket would reset it and could take the answer away from the
// client. So: end our side, then read away what still comes, for a short while.
io::Task<void> Connection::linger() {
  stream_.shutdown_write();
  Deadline deadline = loop_.now() + linger_time;
  std::size_t total = 0;
  while (total < linger_bytes) {
    auto got = co_await stream_.read(buffer_, deadline, stop_);
    if (!got || *got == 0) co_return;
    total += *got;
  }
}

io::Task<Connection::Next> Connection::serve_one() {
  broken_ = continue_sent_ = false;
  parts_.reset();
  auto there = co_await read_head();
  if (!there) {
    Response response = handler_.refuse(there.error().status, there.error().text);
    bool sent = co_await write(std::move(response), false, false);
    co_return sent ? Next::linger : Next::close;
  }
  if (!*there) co_return Next::close;
  bool head_only = reader_.head().method == "HEAD";
  Response response = co_await handler_.serve(*this);
  release();
  bool small = reader_.body_complete() || (reader_.head().framing == http1::Framing::length &&
                                           reader_.body_missing() <= skipped_body_bytes &&
                                           (!reader_.head().expects_continue || continue_sent_));
  bool keep = reader_.head().keep_alive && !broken_ && !gauges_.draining && small;
  if (response.stream) {
    keep = keep && (reader_.head().minor == 1 || response.stream_bytes || head_only ||
                    is_bodiless(response.status));
    bool sent = co_await write_stream(std::move(response), keep, head_only);
    stream_.on_hangup(nullptr);
    if (!sent) co_return Next::close;
  } else if (!co_await write(std::move(response), keep, head_only)) {
    co_return Next::close;
  }
  if (!keep) co_return reader_.body_complete() ? Next::close : Next::linger;
  co_return co_await skip_body() ? Next::keep_alive : Next::linger;
}

io::Task<void> Connection::run(std::stop_token stop) {
  stop_ = std::move(stop);
  while (true) {
    Next next = co_await serve_one();
    if (next == Next::keep_alive) {
      reader_.reset();
      continue;
    }
    if (next == Next::linger) co_await linger();
    co_return;
  }
}

}  // namespace mayfly::front
