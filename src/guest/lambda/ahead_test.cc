// Pipes and events ahead.
#include "base/limits.h"
#include "guest/lambda/ahead_fixture_test.h"

namespace mayfly::guest {

using namespace testing;

TEST_CASE("pipes are opened where the guest can and calls are quick") {
  SUBCASE("it cannot") {
    House house;
    house.ready(0);
    house.channel->prepare_ahead();
    auto reply = house.begin(event("1"));
    CHECK(house.hear(house.socket).size() > 24);
    house.say(house.socket, answer(1, "2", 4));
    REQUIRE(*reply);
    CHECK((**reply)->payload == "2");
    CHECK((**reply)->output == Output::unknown);
    CHECK(house.ahead(event("2")) == 0);
  }
  SUBCASE("it says why not, and is not asked again") {
    House house;
    house.ready(1);
    house.channel->prepare_ahead();
    auto reply = house.begin(event("1"));
    CHECK(house.hear(house.socket) == frame(11, 0, ""));
    house.say(house.socket, frame(11, 0, std::string("\2\0no", 4)));
    CHECK(house.hear(house.socket).substr(4, 1) == "\3");
    house.say(house.socket, answer(1, "2", 4));
    REQUIRE(*reply);
    CHECK((**reply)->payload == "2");
    auto again = house.begin(event("2"));
    CHECK(house.hear(house.socket).substr(4, 1) == "\3");
    house.say(house.socket, answer(2, "3", 4));
    CHECK(*again);
  }
  SUBCASE("it can") {
    PipedHouse house;
    house.say(house.answers, answer(1, "2"));
    REQUIRE(*house.first);
    CHECK((**house.first)->payload == "2");
    CHECK((**house.first)->output == Output::read);
    auto reply = house.begin(event("2"));
    CHECK(house.take() == 2);
    house.say(house.answers, answer(2, "3", unread));
    REQUIRE(*reply);
    CHECK((**reply)->output == Output::unread);
  }
}

TEST_CASE("an event larger than a record goes over the socket, one of its size does not") {
  PipedHouse house;
  house.say(house.answers, answer(1, "2"));
  auto fixed = 12 + 24 + 2;
  auto reply = house.begin(event(std::string(4096 - fixed, 'x')));
  CHECK(house.hear(house.events).size() == 4096);
  house.say(house.answers, answer(2, "3"));
  REQUIRE(*reply);
  CHECK(house.ahead(event(std::string(4097 - fixed, 'x'))) == 0);
  auto large = house.begin(event(std::string(4097 - fixed, 'x')));
  CHECK(house.hear(house.events) == frame(13, 0, ""));
  CHECK(house.hear(house.socket).size() == 4097);
  house.say(house.answers, answer(3, "4"));
  REQUIRE(*large);
  CHECK((**large)->payload == "4");
}

TEST_CASE("an event ahead carries its time and is answered in its turn") {
  PipedHouse house;
  auto second = house.ahead(event("2"));
  auto third = house.ahead(event("3"));
  CHECK(second == 2);
  CHECK(third == 3);
  house.say(house.answers, answer(1, "a"));
  REQUIRE(*house.first);
  auto bytes = house.hear(house.events);
  CHECK(bytes.substr(12, 8) == std::string("\3\0\0\0\0\0\0\0", 8));  // 2.5 ms, rounded up
  CHECK(bytes[26] == 1);
  CHECK(house.take() == 3);
  // Both answers are there before anybody has asked for them.
  house.say(house.answers, answer(2, "b") + answer(3, "c"));
  auto b = house.take_up(second);
  auto c = house.take_up(third);
  REQUIRE(*b);
  REQUIRE(*c);
  CHECK((**b)->payload == "b");
  CHECK((**c)->payload == "c");
}

TEST_CASE("what the guest has not taken is called back, what it has taken is not") {
  for (std::uint32_t can_open : {1U, 2U}) {
    PipedHouse house(can_open);
    auto second = house.ahead(event("2"));
    auto third = house.ahead(event("3"));
    auto fourth = house.ahead(event("4"));
    CHECK(house.take() == 2);
    house.channel->recall();
    CHECK(house.take() == 0);
    CHECK_FALSE(house.channel->withdraw(second));
    CHECK(house.channel->withdraw(third));
    house.say(house.answers, answer(1, "a") + answer(2, "b"));
    auto b = house.take_up(second);
    REQUIRE(*b);
    CHECK((**b)->payload == "b");
    // One that came back and was not withdrawn is to be handed over anew.
    auto d = house.take_up(fourth);
    REQUIRE(*d);
    CHECK((*d)->error().kind == ErrorKind::conflict);
    auto anew = house.begin(event("4"));
    CHECK(house.take() == 5);
    house.say(house.answers, answer(5, "d"));
    REQUIRE(*anew);
  }
}

TEST_CASE("the event under way that the guest has not come to goes out again after a recall") {
  for (auto [size, can_open] : {std::pair(1, 1U), {5000, 1U}, {1, 2U}, {5000, 2U}}) {
    PipedHouse house(can_open);
    house.say(house.answers, answer(1, "a"));
    auto second = house.begin(event(std::string(static_cast<std::size_t>(size), 'x')));
    house.channel->recall();
    house.loop.run_ready();
    CHECK_FALSE(*second);
    auto sequence = house.take();
    CHECK(sequence == (size == 1 ? 3 : 0));  // ELSEWHERE: as it was
    CHECK(house.take() == 0);
    house.say(house.answers, answer(size == 1 ? 3 : 2, "b"));
    REQUIRE(*second);
    CHECK((**second)->payload == "b");
  }
}

TEST_CASE("an event ahead that the guest returns is to be handed over anew") {
  PipedHouse house;
  auto second = house.ahead(event("2"));
  auto third = house.ahead(event("3"));
  CHECK(house.take() == 2);
  CHECK(house.take() == 3);
  house.say(house.answers, answer(1, "a", unread) + frame(12, 2, "") + frame(12, 3, ""));
  REQUIRE(*house.first);
  CHECK((**house.first)->output == Output::unread);
  auto b = house.take_up(second);
  REQUIRE(*b);
  CHECK((*b)->error().kind == ErrorKind::conflict);
  CHECK(house.channel->withdraw(third));
  CHECK(house.channel->takes_ahead());
}

TEST_CASE("before a call counts as too long, those behind it are called back") {
  PipedHouse house;
  auto second = house.ahead(event("2"));
  SUBCASE("the guest is at it") {
    house.clock.advance(3s);
    house.loop.run_ready();
    REQUIRE(*house.first);
    CHECK((*house.first)->error().kind == ErrorKind::timeout);
    CHECK(house.take() == 0);
    CHECK(house.channel->withdraw(second));
    auto after = house.begin(event("3"));
    REQUIRE(*after);
    CHECK((*after)->error().kind == ErrorKind::unavailable);
  }
  SUBCASE("it has answered meanwhile and is at the next") {
    CHECK(house.take() == 2);
    auto bytes = answer(1, "a");
    REQUIRE(::write(house.answers.get(), bytes.data(), bytes.size()) > 0);
    house.clock.advance(3s);
    house.loop.run_ready();
    REQUIRE(*house.first);
    REQUIRE((*house.first)->has_value());
    CHECK((**house.first)->payload == "a");
    CHECK_FALSE(house.channel->withdraw(second));
  }
}

TEST_CASE("of a guest that ends, what it answered counts; what it has not taken comes back") {
  std::uint32_t can_open = 1;
  SUBCASE("with a pipe") {}
  SUBCASE("with memory") { can_open = 2; }
  PipedHouse house(can_open);
  auto second = house.ahead(event("2"));
  auto third = house.ahead(event("3"));
  auto fourth = house.ahead(event("4"));
  CHECK(house.take() == 2);
  CHECK(house.take() == 3);
  auto bytes = answer(1, "a") + answer(2, "b");
  REQUIRE(::write(house.answers.get(), bytes.data(), bytes.size()) > 0);
  house.answers.reset();
  house.events.reset();
  house.socket.reset();
  house.loop.run_ready();
  REQUIRE(*house.first);
  REQUIRE((*house.first)->has_value());
  auto b = house.take_up(second);
  REQUIRE(*b);
  CHECK((**b)->payload == "b");
  house.channel->recall();
  CHECK_FALSE(house.channel->withdraw(third));
  CHECK(house.channel->withdraw(fourth));
  auto c = house.take_up(third);
  REQUIRE(*c);
  CHECK((*c)->error().kind == ErrorKind::unavailable);
  CHECK_FALSE(house.channel->takes_ahead());
}

TEST_CASE("a guest that answers twice, or what it has returned, is not believed any more") {
  for (const auto& last : {answer(1, "again"), frame(3, 1, ""), frame(12, 9, "")}) {
    PipedHouse house;
    house.say(house.answers, answer(1, "a") + last);
    REQUIRE(*house.first);
    auto after = house.begin(event("2"));
    REQUIRE(*after);
    CHECK((*after)->error().kind == ErrorKind::unavailable);
  }
}

TEST_CASE("more events than there is room for are handed over anew when their turn comes") {
  std::uint32_t can_open = 1;
  SUBCASE("with a pipe") {}
  SUBCASE("with memory") { can_open = 2; }
  PipedHouse house(can_open);
  std::vector<std::uint32_t> numbers;
  numbers.reserve(40);
  for (int i = 0; i < 40; ++i) numbers.push_back(house.ahead(event(std::string(3000, 'x'))));
  std::uint32_t last = 1;
  while (auto sequence = house.take()) last = sequence;
  CHECK(last >= 4);
  REQUIRE(last < 41);
  CHECK_FALSE(house.channel->withdraw(last));
  auto next = house.take_up(last + 1);
  REQUIRE(*next);
  CHECK((*next)->error().kind == ErrorKind::conflict);
}

TEST_CASE("a streamed answer comes through the pipe, its credit through the socket") {
  constexpr std::size_t window = limits::stream_window_bytes;
  PipedHouse house;
  house.say(house.answers, answer(1, "a"));
  auto streaming = event("2");
  streaming.stream = std::make_shared<AnswerStream>(house.loop);
  auto& stream = *streaming.stream;
  auto reply = house.begin(streaming);
  CHECK(house.take() == 2);
  auto third = house.ahead(event("3"));
  house.say(house.answers, frame(7, 2, std::string("\3\0a/b", 5)));
  CHECK(stream.content_type == "a/b");
  for (int i = 0; i < 8; ++i) house.say(house.answers, frame(8, 2, std::string(window / 4, 'x')));
  CHECK(house.hear(house.socket).empty());
  CHECK(stream.flow.take().size() == 2 * window);
  house.loop.run_ready();
  auto credit = u32(4) + u32(10) + u32(0) + u32(window);
  CHECK(house.hear(house.socket) == credit + credit);
  house.say(house.answers, frame(8, 2, "yz") + frame(9, 2, ""));
  CHECK(stream.flow.take() == "yz");
  CHECK(stream.flow.ended());
  // The event behind it waits in the pipe meanwhile.
  CHECK_FALSE(*reply);
  house.say(house.answers, answer(2, "") + answer(3, "b"));
  REQUIRE(*reply);
  REQUIRE(**reply);
  CHECK((**reply)->streamed);
  CHECK((**reply)->output == Output::read);
  auto next = house.take_up(third);
  REQUIRE(*next);
  CHECK((**next)->payload == "b");
  CHECK(house.hear(house.socket).empty());
}

TEST_CASE("what a stream left of its credit is the next one's") {
  constexpr std::size_t window = limits::stream_window_bytes;
  PipedHouse house;
  house.say(house.answers, answer(1, "a"));
  for (std::uint32_t sequence : {2u, 3u}) {
    auto reply = house.begin(event("collected"));
    CHECK(house.take() == sequence);
    house.say(house.answers, frame(7, sequence, std::string("\0\0", 2)));
    for (int i = 0; i < 4; ++i) {
      house.say(house.answers, frame(8, sequence, std::string(window / 4, 'x')));
    }
    house.say(house.answers, frame(9, sequence, "") + answer(sequence, ""));
    REQUIRE(*reply);
    CHECK((**reply)->payload.size() == window);
    CHECK(house.hear(house.socket) == u32(4) + u32(10) + u32(0) + u32(window));
  }
}

}  // namespace mayfly::guest
