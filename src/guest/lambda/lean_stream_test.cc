// Streamed answers over the lean protocol: frames, credit, and who waits for whom.
#include <doctest/doctest.h>

#include "base/limits.h"
#include "guest/lambda/errors.h"
#include "guest/lambda/lean.h"
#include "io/park.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t window = limits::stream_window_bytes;

std::string u32(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

std::string frame(FrameType type, const std::string& body, std::uint32_t sequence = 1) {
  return u32(static_cast<std::uint32_t>(body.size())) + u32(static_cast<std::uint32_t>(type)) +
         u32(sequence) + body;
}

std::string labelled(std::string_view label, std::string_view rest = {}) {
  std::string out = u32(static_cast<std::uint32_t>(label.size())).substr(0, 2);
  return out.append(label).append(rest);
}

// One call, its guest played by hand on the same loop.
struct Call {
  SystemClock clock;
  io::Loop loop{clock};
  std::optional<io::Stream> far;
  std::unique_ptr<GuestChannel> channel;
  std::shared_ptr<AnswerStream> stream;
  io::TaskScope scope{loop};
  std::optional<Result<InvokeReply>> reply;
  std::string heard;

  explicit Call(bool streaming = true, Duration patience = 20s) {
    auto pair = io::socket_pair();
    REQUIRE(pair);
    far.emplace(loop, std::move(pair->second));
    channel = make_lean_channel(loop, std::move(pair->first));
    if (streaming) stream = std::make_shared<AnswerStream>(loop);
    InvokeRequest request;
    request.request_id = "id";
    request.stream = stream;
    scope.spawn(run(*this, std::move(request), clock.mono() + patience));
    hear();
    heard.clear();  // the event
  }
  ~Call() { loop.run_until(scope.drain(no_deadline)); }
  static io::Task<void> run(Call& call, InvokeRequest request, Deadline deadline) {
    call.reply = co_await call.channel->invoke(request, deadline);
  }
  void say(const std::string& bytes) {
    io::TaskScope writing(loop);
    writing.spawn(put(*this, bytes));
    while (writing.running() > 0) {
      loop.run_ready();
      hear();
    }
    loop.run_ready();
    hear();
  }
  static io::Task<void> put(Call& call, std::string bytes) {
    CHECK(co_await call.far->write_all(bytes, call.clock.mono() + 5s));
  }
  void hear() {
    loop.run_ready();
    std::array<char, 4096> chunk{};
    while (true) {
      auto got = far->read_some(chunk);
      if (!got || !*got || **got == 0) return;
      heard.append(chunk.data(), **got);
    }
  }
  // Bytes granted by the credits heard since.
  std::size_t granted() {
    hear();
    std::size_t out = 0;
    for (; heard.size() >= 16; heard.erase(0, 16)) {
      CHECK(heard.substr(0, 12) ==
            u32(4) + u32(static_cast<std::uint32_t>(FrameType::credit)) + u32(0));
      for (std::size_t i = 0; i < 4; ++i) {
        out += std::size_t{static_cast<unsigned char>(heard[12 + i])} << (8 * i);
      }
    }
    CHECK(heard.empty());
    return out;
  }
};

TEST_CASE("parts go on as they come, the end before the end of the call") {
  Call call;
  CHECK_FALSE(call.stream->begun);
  call.say(frame(FrameType::stream, labelled("text/plain")));
  CHECK(call.stream->begun);
  CHECK(call.stream->head.is_set());
  CHECK(call.stream->content_type == "text/plain");
  call.say(frame(FrameType::part, "ab") + frame(FrameType::part, "c"));
  CHECK(call.stream->flow.take() == "abc");
  CHECK_FALSE(call.stream->flow.ended());
  call.say(frame(FrameType::stream_end, ""));
  CHECK(call.stream->flow.ended());
  CHECK_FALSE(call.reply);
  call.say(frame(FrameType::response, labelled("")));
  REQUIRE(call.reply);
  REQUIRE(*call.reply);
  CHECK((*call.reply)->streamed);
  CHECK_FALSE((*call.reply)->is_error);
  CHECK((*call.reply)->payload.empty());
  CHECK(call.granted() == 0);
}

TEST_CASE("credit follows what is taken") {
  Call call;
  call.say(frame(FrameType::stream, labelled("a/b")));
  call.say(frame(FrameType::part, std::string(2 * window, 'x')));
  CHECK(call.granted() == 0);
  CHECK(call.stream->flow.take().size() == 2 * window);
  CHECK(call.granted() == 2 * window);
  call.say(frame(FrameType::part, std::string(window + 1, 'x')));
  CHECK(call.granted() == 0);
  call.stream->flow.leave();
  CHECK(call.granted() == window);
  call.say(frame(FrameType::part, std::string(window, 'x')));
  CHECK(call.granted() == window);
  call.say(frame(FrameType::response, labelled("")));
  CHECK(call.reply);
  CHECK(call.granted() == 0);
}

TEST_CASE("a guest that may be waiting for credit gets some when its answer ends") {
  Call call;
  call.say(frame(FrameType::stream, labelled("a/b")));
  call.say(frame(FrameType::part, std::string(2 * window, 'x')));
  CHECK(call.granted() == 0);
  call.say(frame(FrameType::error, labelled("Function.Mine", "{\"errorMessage\":\"m\"}")));
  REQUIRE(call.reply);
  REQUIRE(*call.reply);
  CHECK((*call.reply)->is_error);
  CHECK((*call.reply)->error_type == "Function.Mine");
  CHECK((*call.reply)->payload == "{\"errorMessage\":\"m\"}");
  CHECK(call.granted() == 2 * window);     // for this answer and the next
  CHECK_FALSE(call.stream->flow.ended());  // its owner says how
}

TEST_CASE("without a stream the parts are collected, up to the limit of an answer") {
  Call call(false);
  call.say(frame(FrameType::stream, labelled("text/plain")));
  call.say(frame(FrameType::part, std::string(window, 'x')) + frame(FrameType::part, "y") +
           frame(FrameType::stream_end, "") + frame(FrameType::response, labelled("")));
  REQUIRE(call.reply);
  REQUIRE(*call.reply);
  CHECK((*call.reply)->streamed);
  CHECK((*call.reply)->content_type == "text/plain");
  CHECK((*call.reply)->payload == std::string(window, 'x') + "y");
  for (std::size_t more : {0, 1}) {
    Call large(false);
    large.say(frame(FrameType::stream, labelled("a/b")));
    std::size_t left = response_max_bytes + more;
    while (left > 0) {
      std::size_t size = std::min(left, window);
      large.say(frame(FrameType::part, std::string(size, 'x')));
      left -= size;
    }
    large.say(frame(FrameType::response, labelled("")));
    REQUIRE(large.reply);
    CHECK(large.reply->has_value() == (more == 0));
    if (more > 0) CHECK(large.reply->error().kind == ErrorKind::too_large);
  }
}

TEST_CASE("a stream beyond its limit breaks off, and the channel stays in step") {
  Call call;
  call.say(frame(FrameType::stream, labelled("a/b")));
  std::string part(window, 'x');
  for (std::size_t sent = 0; sent < limits::stream_response_bytes; sent += window) {
    call.say(frame(FrameType::part, part));
    call.stream->flow.take();
  }
  CHECK_FALSE(call.stream->flow.ended());
  call.say(frame(FrameType::part, "y"));
  CHECK(call.stream->flow.ended());
  auto next = call.loop.run_until(call.stream->flow.next());
  REQUIRE_FALSE(next);
  CHECK(next.error().reason == "Function.ResponseSizeTooLarge");
  call.say(frame(FrameType::part, "z") + frame(FrameType::stream_end, "") +
           frame(FrameType::response, labelled("")));
  REQUIRE(call.reply);
  REQUIRE_FALSE(*call.reply);
  CHECK(call.reply->error().message.find("209715200 bytes") != std::string::npos);
  call.reply.reset();
  call.scope.spawn(Call::run(call, {}, call.clock.mono() + 5s));
  call.say(frame(FrameType::response, labelled("", "1"), 2));
  REQUIRE(call.reply);
  CHECK(*call.reply);
}

TEST_CASE("a guest that breaks the rules loses its channel") {
  for (const auto& bad : {frame(FrameType::part, std::string(2 * window + 1, 'x')),
                          frame(FrameType::part, "x", 2), frame(FrameType::stream, labelled("a/b")),
                          frame(FrameType::ready, ""), frame(FrameType::error, "\x09")}) {
    Call call;
    call.say(frame(FrameType::stream, labelled("a/b")));
    call.say(bad);
    REQUIRE(call.reply);
    REQUIRE_FALSE(*call.reply);
    CHECK(call.reply->error().kind == ErrorKind::corrupt);
    CHECK_FALSE(call.stream->flow.ended());
  }
}

TEST_CASE("a guest that ends, or says nothing, in the middle of its answer") {
  {
    Call call;
    call.say(frame(FrameType::stream, labelled("a/b")) + frame(FrameType::part, "x"));
    call.far.reset();
    call.loop.run_ready();
    REQUIRE(call.reply);
    CHECK(call.reply->error().kind == ErrorKind::unavailable);
  }
  Call call(true, 20ms);
  call.say(frame(FrameType::stream, labelled("a/b")) + frame(FrameType::part, "x"));
  call.loop.run_until(call.scope.drain(no_deadline));
  REQUIRE(call.reply);
  CHECK(call.reply->error().kind == ErrorKind::timeout);
  CHECK(call.stream->flow.take() == "x");
}

}  // namespace
}  // namespace mayfly::guest
