#include "invoke/environment_log.h"

namespace mayfly::invoke {
namespace {

constexpr auto window = std::chrono::milliseconds(100);
constexpr std::size_t window_limit_bytes = limits::instance_log_bytes_per_second / 10;
// More than a pipe holds; a background process that goes on writing cannot hold up an END.
constexpr std::size_t drain_limit_bytes = 1024 * 1024;

}  // namespace

EnvironmentLog::EnvironmentLog(io::Loop& loop, Observer& observer, LogBuffer& buffer,
                               LogIdentity identity)
    : loop_(loop), observer_(observer), buffer_(buffer), identity_(std::move(identity)) {
  buffer_.resize(log_buffer_bytes);
}

void EnvironmentLog::attach(io::Fd output, io::Fd framed) {
  readers_ = std::make_unique<io::TaskScope>(loop_);
  auto add = [&](io::Fd fd, bool is_framed) {
    if (!fd) return;
    auto source = std::make_unique<Source>(loop_, std::move(fd), is_framed);
    sources_.push_back(std::move(source));
    readers_->spawn(pump(*sources_.back()));
  };
  add(std::move(output), false);
  add(std::move(framed), true);
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
  wrote_ = true;
  if (source.framed) {
    source.frames.feed(bytes, [&](std::string_view text, std::optional<WallTime> time) {
      line(text, time ? *time + loop_.clock().platform_offset() : now, false);
    });
  } else {
    source.lines.feed(bytes, [&](std::string_view text) { line(text, now, false); });
  }
}

bool EnvironmentLog::capture(std::string* into, std::size_t most) {
  captured_ = into;
  capture_most_ = most;
  return std::exchange(capture_cut_, false);
}

void EnvironmentLog::line(std::string_view text, WallTime time, bool platform) {
  if (captured_ && !platform) {
    std::size_t room = capture_most_ - std::min(capture_most_, captured_->size());
    capture_cut_ = capture_cut_ || text.size() + 1 > room;
    captured_->append(text.substr(0, room));
    if (text.size() < room) captured_->push_back('\n');
    return;
  }
  if (want_tail_) tail_.add_line(text);
  observer_.log_line({.scope = identity_.scope,
                      .instance = identity_.instance,
                      .function = identity_.function,
                      .version = identity_.version,
                      .group = identity_.group,
                      .stream = identity_.stream,
                      .request_id = request_id_,
                      .time = time,
                      .text = text,
                      .platform = platform});
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

void EnvironmentLog::drain(Drain what) {
  WallTime now = loop_.clock().platform();
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
    source->lines.flush([&](std::string_view text) { line(text, now, false); });
    source->frames.flush([&](std::string_view text, std::optional<WallTime> time) {
      line(text, time.value_or(now), false);
    });
  }
}

void EnvironmentLog::platform(std::string_view text) { line(text, loop_.clock().platform(), true); }

io::Task<void> EnvironmentLog::close() {
  if (!readers_) co_return;
  drain();
  co_await readers_->close();
  readers_.reset();
  sources_.clear();
}

}  // namespace mayfly::invoke
