// The Runtime API's streaming mode: chunks, trailers, back-pressure.
#include <doctest/doctest.h>

#include "base/limits.h"
#include "guest/channel.h"
#include "io/park.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

std::string chunk(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string head(std::string_view fields = "Content-Type: text/plain\r\n",
                 std::string_view id = "id", std::string_view what = "response") {
  return fmt::format(
      "POST /2018-06-01/runtime/invocation/{}/{} HTTP/1.1\r\nHost: a\r\n"
      "Lambda-Runtime-Function-Response-Mode: streaming\r\n{}"
      "Transfer-Encoding: chunked\r\n\r\n",
      id, what, fields);
}

// One call under way, and the runtime's connections.
struct Call {
  SystemClock clock;
  io::Loop loop{clock};
  std::string address;
  std::unique_ptr<GuestChannel> channel;
  std::shared_ptr<AnswerStream> stream;
  io::TaskScope scope{loop};
  std::optional<Result<InvokeReply>> reply;
  std::unique_ptr<io::Stream> runtime;

  explicit Call(bool streaming = true) {
    auto listener = io::listen_tcp("127.0.0.1", 0);
    REQUIRE(listener);
    address = io::address_of(*listener);
    channel = make_runtime_api_channel(loop, *std::move(listener));
    if (streaming) stream = std::make_shared<AnswerStream>(loop);
    runtime = connect();
    begin();
  }
  ~Call() {
    channel->cancel();
    loop.run_until(scope.drain(no_deadline));
  }
  std::unique_ptr<io::Stream> connect() {
    auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    auto fd = loop.run_until(io::connect_tcp(loop, "127.0.0.1", port, loop.now() + 5s));
    REQUIRE(fd);
    return std::make_unique<io::Stream>(loop, *std::move(fd));
  }
  void begin() {
    reply.reset();
    InvokeRequest request;
    request.request_id = "id";
    request.payload = "{}";
    request.stream = stream;
    scope.spawn(run(*this, std::move(request)));
    say(*runtime, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(hear(*runtime).ends_with("\r\n\r\n{}"));
  }
  static io::Task<void> run(Call& call, InvokeRequest request) {
    call.reply = co_await call.channel->invoke(std::move(request), call.clock.mono() + 20s);
  }
  void say(io::Stream& to, std::string_view bytes) {
    REQUIRE(loop.run_until(to.write_all(bytes, loop.now() + 5s)));
  }
  std::string hear(io::Stream& from) {
    std::string out(8192, '\0');
    auto got = loop.run_until(from.read(out, loop.now() + 5s));
    out.resize(got.value_or(0));
    return out;
  }
  std::string next() {
    auto part = loop.run_until(stream->flow.next());
    return part ? *part : "broken: " + part.error().message;
  }
};

TEST_CASE("chunks go on as they come, and the answer's end is the call's") {
  Call call;
  call.say(*call.runtime, head());
  call.loop.run_ready();
  CHECK_FALSE(call.stream->begun);  // an error may still be all that comes
  call.say(*call.runtime, chunk("one"));
  CHECK(call.next() == "one");
  CHECK(call.stream->content_type == "text/plain");
  call.say(*call.runtime, chunk("two"));
  CHECK(call.next() == "two");
  CHECK_FALSE(call.reply);
  call.say(*call.runtime, "0\r\n\r\n");
  CHECK(call.next() == "");
  CHECK(call.hear(*call.runtime).starts_with("HTTP/1.1 202 "));
  REQUIRE(call.reply);
  REQUIRE(*call.reply);
  CHECK((*call.reply)->streamed);
  CHECK((*call.reply)->payload.empty());
  call.stream = std::make_shared<AnswerStream>(call.loop);
  call.begin();
  call.say(*call.runtime, head("") + "0\r\n\r\n");
  CHECK(call.next() == "");
  CHECK(call.stream->begun);
}

TEST_CASE("trailers tell of an error in the middle") {
  Call call;
  call.say(*call.runtime, head("Trailer: Lambda-Runtime-Function-Error-Type\r\n") + chunk("one"));
  CHECK(call.next() == "one");
  CHECK(call.stream->content_type == "application/octet-stream");
  call.say(*call.runtime,
           "0\r\nLambda-Runtime-Function-Error-Type: Function.Mine\r\n"
           "Lambda-Runtime-Function-Error-Body: eyJhIjoxfQ==\r\n\r\n");
  CHECK(call.hear(*call.runtime).starts_with("HTTP/1.1 202 "));
  REQUIRE(call.reply);
  REQUIRE(*call.reply);
  CHECK((*call.reply)->is_error);
  CHECK((*call.reply)->error_type == "Function.Mine");
  CHECK((*call.reply)->payload == "{\"a\":1}");
  CHECK_FALSE(call.stream->flow.ended());  // its owner says how
}

TEST_CASE("an error told on another connection, and the rest of the stream is nobody's") {
  Call call;
  call.say(*call.runtime, head() + chunk("one"));
  CHECK(call.next() == "one");
  auto other = call.connect();
  std::string error = "{\"errorMessage\":\"m\"}";
  call.say(*other, fmt::format("POST /2018-06-01/runtime/invocation/id/error HTTP/1.1\r\n"
                               "Host: a\r\nLambda-Runtime-Function-Error-Type: Function.Mine\r\n"
                               "Content-Length: {}\r\n\r\n{}",
                               error.size(), error));
  CHECK(call.hear(*other).starts_with("HTTP/1.1 202 "));
  REQUIRE(call.reply);
  CHECK((*call.reply)->is_error);
  CHECK((*call.reply)->payload == error);
  call.say(*call.runtime, chunk("late") + "0\r\n\r\n");
  CHECK(call.hear(*call.runtime).starts_with("HTTP/1.1 403 "));
  CHECK(call.stream->flow.waiting() == 0);
}

TEST_CASE("a second answer is refused while one is under way") {
  Call call;
  call.say(*call.runtime, head() + chunk("one"));
  CHECK(call.next() == "one");
  auto other = call.connect();
  call.say(*other, head() + chunk("intruder") + "0\r\n\r\n");
  CHECK(call.hear(*other).starts_with("HTTP/1.1 403 "));
  call.say(*call.runtime, chunk("two") + "0\r\n\r\n");
  CHECK(call.next() == "two");
  CHECK(call.next() == "");
}

TEST_CASE("a cut stream is a truncated answer") {
  Call call;
  call.say(*call.runtime, head() + chunk("one"));
  CHECK(call.next() == "one");
  call.runtime->shutdown_write();
  CHECK(call.hear(*call.runtime).starts_with("HTTP/1.1 400 "));
  REQUIRE(call.reply);
  CHECK((*call.reply)->error_type == "Runtime.TruncatedResponse");
}

TEST_CASE("the runtime waits for the client, and not for one that has left") {
  Call call;
  call.say(*call.runtime, head());
  std::string piece = chunk(std::string(limits::stream_window_bytes, 'x'));
  std::uint64_t sent = 0;
  // What the system's buffers take, and no more.
  while (sent < 64 * limits::mib) {
    auto put = call.loop.run_until(call.runtime->write_all(piece, call.loop.now() + 50ms));
    if (!put) break;
    sent += limits::stream_window_bytes;
  }
  CHECK(sent < 64 * limits::mib);
  CHECK(call.stream->flow.waiting() >= 2 * limits::stream_window_bytes);
  CHECK(call.stream->flow.waiting() < 8 * limits::stream_window_bytes);
  std::uint64_t taken = 0;
  while (taken < sent) taken += call.next().size();
  call.stream->flow.leave();
  for (int i = 0; i < 100; ++i) {
    // The piece that was written in part first.
    if (!call.loop.run_until(call.runtime->write_all(piece, call.loop.now() + 5s))) break;
    CHECK(call.stream->flow.waiting() == 0);
  }
}

TEST_CASE("a channel that ends while its runtime waits leaves the stream to its taker") {
  Call call;
  call.say(*call.runtime, head());
  std::string piece = chunk(std::string(limits::stream_window_bytes, 'x'));
  while (call.loop.run_until(call.runtime->write_all(piece, call.loop.now() + 50ms))) {
  }
  call.channel->cancel();
  call.loop.run_until(call.scope.drain(no_deadline));
  REQUIRE(call.reply);
  CHECK_FALSE(*call.reply);
  call.channel = make_runtime_api_channel(call.loop, *io::listen_tcp("127.0.0.1", 0));
  CHECK(!call.next().empty());
}

TEST_CASE("beyond its limit a stream breaks off and the runtime is told") {
  Call call;
  call.say(*call.runtime, head());
  call.stream->begin("kept");
  std::string piece = chunk(std::string(limits::mib, 'x'));
  auto taken = [&] { return call.stream->flow.taken(); };
  for (std::size_t sent = 0; sent < limits::stream_response_bytes; sent += limits::mib) {
    io::TaskScope writing(call.loop);
    auto write = [](Call& of, const std::string& bytes) -> io::Task<void> {
      CHECK(co_await of.runtime->write_all(bytes, of.loop.now() + 5s));
    };
    writing.spawn(write(call, piece));
    while (writing.running() > 0) {
      call.loop.run_ready();
      call.stream->flow.take();
    }
  }
  while (taken() < limits::stream_response_bytes) call.next();
  CHECK_FALSE(call.stream->flow.ended());
  call.say(*call.runtime, chunk("y"));
  CHECK(call.next() ==
        "broken: Response payload size exceeded maximum allowed payload size "
        "(209715200 bytes).");
  call.say(*call.runtime, "0\r\n\r\n");
  CHECK(call.hear(*call.runtime).starts_with("HTTP/1.1 413 "));
  REQUIRE(call.reply);
  REQUIRE_FALSE(*call.reply);
  CHECK(call.reply->error().kind == ErrorKind::too_large);
}

TEST_CASE("without a stream the chunks are collected") {
  Call call(false);
  call.say(*call.runtime, head() + chunk("one") + chunk("two") + "0\r\n\r\n");
  CHECK(call.hear(*call.runtime).starts_with("HTTP/1.1 202 "));
  REQUIRE(call.reply);
  REQUIRE(*call.reply);
  CHECK((*call.reply)->streamed);
  CHECK((*call.reply)->payload == "onetwo");
  CHECK((*call.reply)->content_type == "text/plain");
}

}  // namespace
}  // namespace mayfly::guest
