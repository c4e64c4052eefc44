// Streamed answers of a custom runtime that takes several events at one time.
#include <doctest/doctest.h>

#include <list>

#include "base/limits.h"
#include "guest/channel.h"
#include "io/park.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

struct Shared {
  SystemClock clock;
  io::Loop loop{clock};
  std::string address;
  std::unique_ptr<GuestChannel> channel;
  std::list<InvokeRequest> requests;
  std::list<std::optional<Result<InvokeReply>>> replies;
  io::TaskScope scope{loop};

  Shared() {
    auto listener = io::listen_tcp("127.0.0.1", 0);
    REQUIRE(listener);
    address = io::address_of(*listener);
    channel = make_runtime_api_channel(loop, *std::move(listener));
    channel->share(4);
  }
  ~Shared() {
    channel->cancel();
    loop.run_until(scope.drain(no_deadline));
  }
  std::unique_ptr<io::Stream> connect() {
    auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    auto fd = loop.run_until(io::connect_tcp(loop, "127.0.0.1", port, loop.now() + 5s));
    REQUIRE(fd);
    return std::make_unique<io::Stream>(loop, *std::move(fd));
  }
  // One that has asked for its event and got it.
  std::unique_ptr<io::Stream> take(const std::string& id) {
    auto out = connect();
    say(*out, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(hear(*out).find("Aws-Request-Id: " + id + "\r\n") != std::string::npos);
    return out;
  }
  std::optional<Result<InvokeReply>>& ask(const std::string& id,
                                          std::shared_ptr<AnswerStream> stream) {
    requests.emplace_back();
    requests.back().request_id = id;
    requests.back().payload = "{}";
    requests.back().stream = std::move(stream);
    replies.emplace_back();
    scope.spawn(run(*channel, requests.back(), replies.back()));
    return replies.back();
  }
  static io::Task<void> run(GuestChannel& channel, const InvokeRequest& request,
                            std::optional<Result<InvokeReply>>& out) {
    out = co_await channel.invoke(request, no_deadline);
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
  // Of a stream, `size` bytes more.
  std::string taken(AnswerStream& stream, std::size_t size) {
    std::string out;
    while (out.size() < size) {
      auto part = loop.run_until(stream.flow.next());
      if (!part || part->empty()) break;
      out += *part;
    }
    return out;
  }
  static std::string begin(const std::string& id) {
    return fmt::format(
        "POST /2018-06-01/runtime/invocation/{}/response HTTP/1.1\r\nHost: a\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/{}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        id, id);
  }
  static std::string chunk(std::string_view bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  }
};

}  // namespace

TEST_CASE("two answers are streamed side by side, each over its connection") {
  Shared at;
  auto slow = std::make_shared<AnswerStream>(at.loop);
  auto fast = std::make_shared<AnswerStream>(at.loop);
  auto& first = at.ask("one", slow);
  auto& second = at.ask("two", fast);
  auto one = at.take("one");
  auto two = at.take("two");
  at.say(*one, Shared::begin("one") + Shared::chunk("a"));
  at.say(*two, Shared::begin("two") + Shared::chunk("b"));
  CHECK(at.taken(*fast, 1) == "b");
  CHECK(fast->content_type == "text/two");
  // Nobody takes the first one's answer: its connection waits, the other goes on.
  std::string window(limits::stream_window_bytes, 'x');
  at.say(*one, Shared::chunk(window) + Shared::chunk(window));
  at.say(*two, Shared::chunk(window) + Shared::chunk("end") + "0\r\n\r\n");
  CHECK(at.taken(*fast, window.size() + 3) == window + "end");
  CHECK(at.hear(*two).starts_with("HTTP/1.1 202 "));
  REQUIRE(second);
  CHECK((*second)->streamed);
  CHECK_FALSE(first);
  CHECK(slow->flow.waiting() >= 2 * limits::stream_window_bytes);
  at.say(*one, "0\r\n\r\n");
  CHECK(at.taken(*slow, 1 + 2 * window.size()).size() == 1 + 2 * window.size());
  CHECK(at.hear(*one).starts_with("HTTP/1.1 202 "));
  REQUIRE(first);
  CHECK((*first)->streamed);
}

TEST_CASE("an error in the middle of one stream is that call's") {
  Shared at;
  auto bad = std::make_shared<AnswerStream>(at.loop);
  auto& first = at.ask("one", bad);
  auto& second = at.ask("two", {});
  auto one = at.take("one");
  auto two = at.take("two");
  at.say(*one, Shared::begin("one") + Shared::chunk("part") +
                   "0\r\nLambda-Runtime-Function-Error-Type: Runtime.No\r\n"
                   "Lambda-Runtime-Function-Error-Body: e30=\r\n\r\n");
  CHECK(at.hear(*one).starts_with("HTTP/1.1 202 "));
  REQUIRE(first);
  CHECK((*first)->is_error);
  CHECK((*first)->error_type == "Runtime.No");
  CHECK_FALSE(second);
  at.say(*two,
         "POST /2018-06-01/runtime/invocation/two/response HTTP/1.1\r\nHost: a\r\n"
         "Content-Length: 2\r\n\r\n{}");
  CHECK(at.hear(*two).starts_with("HTTP/1.1 202 "));
  REQUIRE(second);
  CHECK((*second)->payload == "{}");
}

TEST_CASE("a connection that ends in the middle of its answer ends its call alone") {
  Shared at;
  auto broken = std::make_shared<AnswerStream>(at.loop);
  auto& first = at.ask("one", broken);
  auto& second = at.ask("two", {});
  auto one = at.take("one");
  auto two = at.take("two");
  at.say(*one, Shared::begin("one") + Shared::chunk("part"));
  CHECK(at.taken(*broken, 4) == "part");
  one.reset();
  at.loop.run_ready();
  CHECK_FALSE(second);
  at.say(*two,
         "POST /2018-06-01/runtime/invocation/two/error HTTP/1.1\r\nHost: a\r\n"
         "Content-Length: 2\r\n\r\n{}");
  CHECK(at.hear(*two).starts_with("HTTP/1.1 202 "));
  REQUIRE(second);
  CHECK((*second)->is_error);
  REQUIRE(first);
  CHECK((*first)->error_type == "Runtime.TruncatedResponse");
}

}  // namespace mayfly::guest
