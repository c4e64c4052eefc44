// The lean protocol with several events at one time.
#include <doctest/doctest.h>

#include "base/limits.h"
#include "guest/lambda/lean.h"
#include "io/park.h"

namespace mayfly::guest {
namespace {

using namespace std::chrono_literals;

std::string u32(std::uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string frame(FrameType type, const std::string& body, std::uint32_t sequence) {
  return u32(static_cast<std::uint32_t>(body.size())) + u32(static_cast<std::uint32_t>(type)) +
         u32(sequence) + body;
}
std::string labelled(std::string_view label, std::string_view rest = {}) {
  std::string out = u32(static_cast<std::uint32_t>(label.size())).substr(0, 2);
  return out.append(label).append(rest);
}

// The guest is played by hand.
struct Shared {
  SystemClock clock;
  io::Loop loop{clock};
  std::optional<io::Stream> far;
  std::unique_ptr<GuestChannel> channel;
  std::list<InvokeRequest> requests;
  std::list<std::optional<Result<InvokeReply>>> replies;
  io::TaskScope scope{loop};
  FrameReader reader;
  std::vector<std::pair<FrameHead, std::string>> heard;

  Shared() {
    auto pair = io::socket_pair();
    REQUIRE(pair);
    far.emplace(loop, std::move(pair->second));
    channel = make_lean_channel(loop, std::move(pair->first));
    channel->share(4);
  }
  ~Shared() {
    channel->cancel();
    loop.run_until(scope.drain(no_deadline));
  }
  std::optional<Result<InvokeReply>>& ask(const std::string& id,
                                          std::shared_ptr<AnswerStream> stream = {}) {
    requests.emplace_back();
    requests.back().request_id = id;
    requests.back().stream = std::move(stream);
    replies.emplace_back();
    scope.spawn(run(*channel, requests.back(), replies.back()));
    return replies.back();
  }
  static io::Task<void> run(GuestChannel& channel, const InvokeRequest& request,
                            std::optional<Result<InvokeReply>>& out) {
    out = co_await channel.invoke(request, no_deadline);
  }
  void say(const std::string& bytes) {
    REQUIRE(loop.run_until(far->write_all(bytes, clock.mono() + 5s)).has_value());
    loop.run_ready();
  }
  void hear() {
    loop.run_ready();
    std::array<char, 65536> chunk{};
    while (true) {
      auto got = far->read_some(chunk);
      if (!got || !*got || **got == 0) return;
      REQUIRE(reader.feed({chunk.data(), **got}, [this](const FrameReader::Frame& frame) {
        heard.emplace_back(frame.head, std::string(frame.body));
      }));
    }
  }
};

}  // namespace

TEST_CASE("events go out without waiting for answers, and answers come in any order") {
  Shared at;
  auto& one = at.ask("one");
  auto& two = at.ask("two");
  auto& three = at.ask("three");
  at.hear();
  REQUIRE(at.heard.size() == 3);
  for (const auto& [head, body] : at.heard) CHECK(head.type == FrameType::invoke);
  auto sequence = [&](std::size_t i) { return at.heard[i].first.sequence; };
  at.say(frame(FrameType::response, labelled("", "2"), sequence(1)) +
         frame(FrameType::error, labelled("Error", "{}"), sequence(2)));
  REQUIRE(two);
  CHECK((*two)->payload == "2");
  REQUIRE(three);
  CHECK((*three)->is_error);
  CHECK_FALSE(one);
  at.say(frame(FrameType::response, labelled("", "1"), sequence(0)));
  REQUIRE(one);
  CHECK((*one)->payload == "1");
}

TEST_CASE("streamed answers have a credit each: one that nobody takes holds up no other") {
  Shared at;
  auto held = std::make_shared<AnswerStream>(at.loop);
  auto taken = std::make_shared<AnswerStream>(at.loop);
  auto& slow = at.ask("slow", held);
  auto& fast = at.ask("fast", taken);
  at.hear();
  auto first = at.heard.at(0).first.sequence;
  auto second = at.heard.at(1).first.sequence;
  at.heard.clear();
  std::string window(limits::stream_window_bytes, 'x');
  for (auto sequence : {first, second}) {
    at.say(frame(FrameType::stream, labelled("text/plain"), sequence));
    at.say(frame(FrameType::part, window, sequence) + frame(FrameType::part, window, sequence));
  }
  taken->flow.take();
  at.hear();
  REQUIRE(at.heard.size() >= 1);
  for (const auto& [head, body] : at.heard) {
    CHECK(head.type == FrameType::credit);
    CHECK(head.sequence == second);
  }
  at.say(frame(FrameType::part, window, second) + frame(FrameType::stream_end, {}, second) +
         frame(FrameType::response, labelled(""), second));
  REQUIRE(fast);
  CHECK((*fast)->streamed);
  CHECK_FALSE(slow);
  held->flow.take();
  at.say(frame(FrameType::stream_end, {}, first) + frame(FrameType::response, labelled(""), first));
  REQUIRE(slow);
}

TEST_CASE("a part beyond its own stream's credit ends the channel") {
  Shared at;
  auto& one = at.ask("one", std::make_shared<AnswerStream>(at.loop));
  auto& two = at.ask("two");
  at.hear();
  auto sequence = at.heard.at(0).first.sequence;
  std::string window(limits::stream_window_bytes, 'x');
  std::string part = frame(FrameType::part, window, sequence);
  at.say(frame(FrameType::stream, labelled("text/plain"), sequence) + part + part);
  CHECK_FALSE(one);
  at.say(part);
  REQUIRE(one);
  CHECK(one->error().kind == ErrorKind::corrupt);
  REQUIRE(two);
  CHECK_FALSE(two->has_value());
}

}  // namespace mayfly::guest
