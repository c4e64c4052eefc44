#include "invoke/environment_log.h"

#include <algorithm>

#include "invoke/telemetry_feed.h"

namespace mayfly::invoke {
namespace {

constexpr auto window = std::chrono::milliseconds(100);
constexpr std::size_t window_limit_bytes = limits::instance_log_bytes_per_second / 10;
// More than a pipe holds; a background process that goes on writing cannot hold up an END.
constexpr std::size_t drain_limit_bytes = std::size_t{1024} * 1024;

}  // namespace

EnvironmentLog::EnvironmentLog(io::Loop& loop, Observer& observer, LogBuffer& buffer,
                               LogIdentity identity)
    : loop_(loop), observer_(observer), buffer_(buffer), identity_(std::move(identity)) {
  buffer_.resize(log_buffer_bytes);
}

void EnvironmentLog::attach(io::Fd output, io::Fd framed, io::Fd extensions) {
  readers_ = std::make_unique<io::TaskScope>(loop_);
  auto add = [&](io::Fd fd, Source::Of of) {
    if (!fd) return;
    auto source = std::make_unique<Source>(loop_, std::move(fd), of);
    sources_.push_back(std::move(source));
    readers_->spawn(pump(*sources_.back()));
  };
  add(std::move(output), Source::Of::output);
  add(std::move(framed), Source::Of::framed);
  add(std::move(extensions), Source::Of::extensions);
}

io::Task<void> EnvironmentLog::pump(Source& source) {
  auto stop = readers_->stop_token();
  while (true) {
    auto got = co_await source.stream.read(buffer_, no_deadline, stop);
    if (!got || *got == 0) break;
    digest(source, std::string_view(buffer_.data(), *got));
    MonoTime now = loop_.now();
    if (now - source.window_start >= window) {
      source.window_start = now;
      source.window_bytes = 0;
    }
    source.window_bytes += *got;
    if (source.window_bytes > window_limit_bytes) {
      if (co_await io::sleep_until(loop_, source.window_start + window, stop) ==
          io::Wake::cancelled) {
        break;
      }
    }
  }
}

void EnvironmentLog::digest(Source& source, std::string_view bytes) {
  WallTime now = loop_.clock().platform();
  Author author = author_of(source);
  if (author == Author::function) wrote_ = true;
  if (source.of == Source::Of::framed) {
    source.frames.feed(bytes, [&](std::string_view text, std::optional<WallTime> time) {
      line(text, time ? *time + loop_.clock().platform_offset() : now, author);
    });
  } else {
    source.lines.feed(bytes, [&](std::string_view text) { line(text, now, author); });
  }
}

bool EnvironmentLog::capture(std::string* into, std::size_t most) {
  captured_ = into;
  capture_most_ = most;
  return std::exchange(capture_cut_, false);
}

EnvironmentLog::Author EnvironmentLog::author_of(const Source& source) {
  return source.of == Source::Of::extensions ? Author::extension : Author::function;
}

void EnvironmentLog::line(std::string_view text, WallTime time, Author author) {
  if (captured_ && author != Author::platform) {
    std::size_t room = capture_most_ - std::min(capture_most_, captured_->size());
    capture_cut_ = capture_cut_ || text.size() + 1 > room;
    captured_->append(text.substr(0, room));
    if (text.size() < room) captured_->push_back('\n');
    return;
  }
  if (feed_ != nullptr && author != Author::platform) {
    feed_->line(author == Author::function ? TelemetryKind::function : TelemetryKind::extension,
                text, time);
  }
  std::string_view request_id = request_id_;
  if (shared_) {
    Open* owner = owner_of(text, author);
    if (owner != nullptr && owner->want_tail) owner->tail.add_line(text);
    if (author != Author::platform) request_id = owner ? owner->request_id : std::string_view();
  }
  if (want_tail_) tail_.add_line(text);
  tell(text, false, request_id, time, author);
}

void EnvironmentLog::tell(std::string_view text, bool packed, std::string_view request_id,
                          WallTime time, Author author) {
  observer_.log_line({.scope = identity_.scope,
                      .instance = identity_.instance,
                      .function = identity_.function,
                      .version = identity_.version,
                      .group = identity_.group,
                      .stream = identity_.stream,
                      .request_id = request_id,
                      .time = time,
                      .text = text,
                      .platform = author == Author::platform,
                      .packed = packed});
}

EnvironmentLog::Open* EnvironmentLog::owner_of(std::string_view text, Author author) {
  if (author == Author::extension) return nullptr;
  Open* best = nullptr;
  std::size_t at = std::string_view::npos;
  for (auto& one : open_) {
    // The platform's lines are told apart for the sake of tails alone.
    if (author == Author::platform && !one.want_tail) continue;
    auto found = author == Author::platform ? (one.request_id == request_id_ ? 0 : text.npos)
                                            : text.find(one.request_id);
    if (found < at) {
      at = found;
      best = &one;
    }
  }
  return best;
}

void EnvironmentLog::open(std::string_view request_id, bool want_tail) {
  open_.push_back({.request_id = std::string(request_id), .want_tail = want_tail});
}

std::string EnvironmentLog::close_request(std::string_view request_id) {
  auto at = std::ranges::find(open_, request_id, &Open::request_id);
  if (at == open_.end()) return {};
  auto tail = at->tail.take();
  if (at != std::prev(open_.end())) *at = std::move(open_.back());
  open_.pop_back();
  return tail;
}

void EnvironmentLog::begin(std::string_view request_id, bool want_tail) {
  request_id_ = request_id;
  want_tail_ = want_tail;
  wrote_ = false;
  tail_.clear();
}

std::string EnvironmentLog::end() {
  request_id_.clear();
  want_tail_ = false;
  return tail_.take();
}

std::string EnvironmentLog::take_tail() {
  want_tail_ = false;
  return tail_.take();
}

void EnvironmentLog::drain(Drain what) {
  if (sources_.empty()) return;
  for (auto& source : sources_) {
    std::size_t total = 0;
    auto may_read = [&] {
      return what == Drain::all || (what == Drain::told && source->stream.may_read());
    };
    while (may_read() && total < drain_limit_bytes) {
      auto got = source->stream.read_some(buffer_);
      if (!got || !*got || **got == 0) break;
      digest(*source, std::string_view(buffer_.data(), **got));
      total += **got;
      if (**got < buffer_.size()) break;  // a short read emptied the pipe
    }
    if (shared_) continue;  // what is not whole may be another request's, which goes on
    source->lines.flush(
        [&](std::string_view text) { line(text, loop_.clock().platform(), author_of(*source)); });
    source->frames.flush([&](std::string_view text, std::optional<WallTime> time) {
      line(text, time ? *time : loop_.clock().platform(), author_of(*source));
    });
  }
}

void EnvironmentLog::platform(std::string_view text) { platform(text, loop_.clock().platform()); }

void EnvironmentLog::platform(std::string_view text, WallTime now) {
  line(text, now, Author::platform);
}

void EnvironmentLog::platform(const PackedLine& line, WallTime now) {
  // Tails are of text.
  bool wanted = want_tail_ || std::ranges::any_of(open_, &Open::want_tail);
  if (wanted || !line.packed()) return platform(line.to_text(), now);
  tell(line.bytes(), true, request_id_, now, Author::platform);
}

io::Task<void> EnvironmentLog::close() {
  if (!readers_) co_return;
  drain();
  co_await readers_->close();
  readers_.reset();
  sources_.clear();
}

}  // namespace mayfly::invoke
