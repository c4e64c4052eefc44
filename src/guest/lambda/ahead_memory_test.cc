// Events and answers in memory that guest and host both map.
#include "guest/lambda/ahead_fixture_test.h"

namespace mayfly::guest {

using namespace testing;

TEST_CASE("events in memory: one byte for all of a turn, where the guest waits") {
  PipedHouse house(2);
  house.hear(house.events);
  CHECK(house.ahead(event("2")) == 2);
  CHECK(house.hear(house.events).empty());
  house.number(128) = 1;
  CHECK(house.channel->send_ahead(event("3")) == 3);
  CHECK(house.channel->send_ahead(event("4")) == 4);
  house.loop.run_ready();
  CHECK(house.hear(house.events).size() == 1);
  for (std::uint32_t sequence : {2U, 3U, 4U, 0U}) CHECK(house.take() == sequence);
  house.say(house.answers, answer(1, "a") + answer(2, "b"));
  auto b = house.take_up(2);
  REQUIRE(*b);
  CHECK((**b)->payload == "b");
}

TEST_CASE(
    "answers in memory: a frame through the pipe where the host waits, and nothing after it") {
  PipedHouse house(2);
  for (std::string payload : {"2", "3", "4"}) CHECK(house.ahead(event(payload)) != 0);
  CHECK(house.put_answer(answer(1, "a")));
  CHECK_FALSE(house.put_answer(answer(2, "b")));
  house.loop.run_ready();
  CHECK_FALSE(*house.first);  // nobody has told
  house.say(house.answers, notice);
  REQUIRE(*house.first);
  CHECK((**house.first)->payload == "a");
  auto b = house.take_up(2);
  REQUIRE(*b);
  CHECK((**b)->payload == "b");
  CHECK((**b)->output == Output::read);
  // All was seen: the host waits again. What comes through the pipe still counts.
  CHECK(house.put_answer(answer(3, "c")));
  house.say(house.answers, answer(4, "d"));
  for (std::uint32_t number : {3U, 4U}) {
    auto reply = house.take_up(number);
    REQUIRE(*reply);
    CHECK((**reply)->payload == (number == 3 ? "c" : "d"));
  }
}

TEST_CASE(
    "an answer in memory that nobody told of counts before a timeout and before the guest's end") {
  PipedHouse house(2);
  house.put_answer(answer(1, "a"));
  SUBCASE("timeout") {
    house.clock.advance(4s);
    house.loop.run_ready();
  }
  SUBCASE("end") {
    house.socket.reset();
    house.answers.reset();
    house.loop.run_ready();
  }
  REQUIRE(*house.first);
  REQUIRE(**house.first);
  CHECK((**house.first)->payload == "a");
}

TEST_CASE("what is no answer that is due ends a channel, in memory as well") {
  PipedHouse house(2);
  CHECK(house.ahead(event("2")) == 2);
  SUBCASE("an answer to what was not asked") { house.put_answer(answer(1, "a") + answer(7, "b")); }
  SUBCASE("two answers") { house.put_answer(answer(1, "a") + answer(1, "b")); }
  SUBCASE("another frame") { house.put_answer(notice); }
  SUBCASE("a part of a stream") { house.put_answer(frame(8, 1, "x")); }
  SUBCASE("more than there is room for") { house.answer_number(0) = io::ByteRing::room + 1; }
  house.say(house.answers, notice);
  auto second = house.take_up(2);
  REQUIRE(*second);
  CHECK((**second).error().kind == ErrorKind::corrupt);
  CHECK_FALSE(house.channel->takes_ahead());
}

TEST_CASE("a guest that takes events that there are not is not believed any more") {
  PipedHouse house(2);
  CHECK(house.ahead(event("2")) == 2);
  house.number(0) = 3;
  SUBCASE("seen when more come") { house.ahead(event("3")); }
  SUBCASE("seen when they are called back") { house.channel->recall(); }
  house.loop.run_ready();
  REQUIRE(*house.first);
  CHECK((*house.first)->error().kind == ErrorKind::corrupt);
  CHECK_FALSE(house.channel->takes_ahead());
}

}  // namespace mayfly::guest
