#include "services/sqs/index.h"

#include <doctest/doctest.h>

using namespace mayfly::services::sqs;

namespace {

// An index whose times are small numbers; takes are noted as the numbers of the messages.
struct Bench {
  explicit Bench(Index::Kind kind) : index(kind) {}
  void add(std::uint64_t seq, std::string group = "", std::int64_t delayed_until = 0) {
    index.add({.seq = seq, .sent_ms = now, .delayed_until_ms = delayed_until, .group = group}, now);
  }
  std::string take(std::size_t most, std::int64_t visibility = 30) {
    ++round;
    std::string out;
    for (std::size_t i = 0; i < most; ++i) {
      const auto* item = index.take(now, now + visibility, ++handles, round);
      if (item == nullptr) break;
      out += (out.empty() ? "" : " ") + std::to_string(item->seq);
    }
    return out;
  }
  void remove(std::uint64_t seq) {
    REQUIRE(index.leave(seq));
    index.erase(seq);
  }

  Index index;
  std::int64_t now = 100;
  std::uint64_t round = 0;
  std::uint64_t handles = 0;
};

}  // namespace

TEST_CASE("sqs index: a standard queue gives out the oldest, and again what was not deleted") {
  Bench b(Index::Kind::standard);
  for (std::uint64_t seq = 1; seq <= 4; ++seq) b.add(seq);
  CHECK(b.take(2) == "1 2");
  CHECK(b.index.in_flight() == 2);
  b.remove(1);
  b.now += 29;
  CHECK(b.index.wake(b.now).empty());
  b.now += 1;
  CHECK(b.index.wake(b.now) == std::vector<std::uint64_t>{2});
  CHECK(b.take(9) == "2 3 4");
  CHECK(b.index.find(2)->receives == 2);
  CHECK(b.index.find(2)->first_ms == 100);
}

TEST_CASE("sqs index: delayed messages come when they are due") {
  Bench b(Index::Kind::standard);
  b.add(1, "", 150);
  b.add(2);
  CHECK(b.index.delayed() == 1);
  CHECK(b.take(9) == "2");
  CHECK(b.index.next_due() == 130);
  b.now = 150;
  b.index.wake(b.now);
  CHECK(b.take(9) == "1 2");
}

TEST_CASE("sqs index: visibility is prolonged, and ended") {
  Bench b(Index::Kind::standard);
  b.add(1);
  CHECK(b.take(1) == "1");
  b.index.set_visibility(1, 500, b.now);
  b.now = 499;
  CHECK(b.index.wake(b.now).empty());
  b.index.set_visibility(1, b.now, b.now);
  CHECK(b.index.ready() == 1);
  CHECK(b.take(1) == "1");
}

TEST_CASE("sqs index: a removal that came to nothing gives the message back") {
  Bench b(Index::Kind::standard);
  b.add(1);
  CHECK(b.take(1) == "1");
  CHECK(b.index.leave(1));
  CHECK_FALSE(b.index.leave(1));
  b.now += 1000;
  CHECK(b.index.wake(b.now).empty());
  b.index.stay(1);
  CHECK(b.take(1) == "1");
}

TEST_CASE("sqs index: groups that have far more than their share in flight come last") {
  Bench b(Index::Kind::standard);
  for (std::uint64_t seq = 1; seq <= 40; ++seq) b.add(seq, "loud");
  b.take(20);
  b.add(41, "quiet");
  b.add(42, "quiet");
  CHECK(b.take(3) == "41 42 21");
}

TEST_CASE("sqs index: a group of a FIFO queue is locked while one of it is in flight") {
  Bench b(Index::Kind::fifo);
  b.add(1, "a");
  b.add(2, "b");
  b.add(3, "a");
  b.add(4, "a");
  CHECK(b.take(1) == "1");
  CHECK(b.take(9) == "2");
  CHECK(b.take(9).empty());
  SUBCASE("deleted: the next of the group") {
    b.remove(1);
    CHECK(b.take(9) == "3 4");
  }
  SUBCASE("visible again: the same one first, in order") {
    b.now += 30;
    b.index.wake(b.now);
    CHECK(b.take(2) == "1 3");
    CHECK(b.take(9) == "2");
  }
  SUBCASE("being removed: still locked") {
    CHECK(b.index.leave(1));
    CHECK(b.take(9).empty());
    b.index.stay(1);
    CHECK(b.take(9) == "1 3 4");
  }
}

TEST_CASE("sqs index: one receive of a FIFO queue takes several of a group, then of others") {
  Bench b(Index::Kind::fifo);
  b.add(1, "a");
  b.add(2, "b");
  b.add(3, "a");
  CHECK(b.take(9) == "1 3 2");
}

TEST_CASE("sqs index: a delayed message holds back the later ones of its group") {
  Bench b(Index::Kind::fifo);
  b.add(1, "a", 150);
  b.add(2, "a");
  b.add(3, "b");
  CHECK(b.take(9) == "3");
  b.now = 150;
  b.index.wake(b.now);
  CHECK(b.take(9) == "1 2 3");
}

TEST_CASE("sqs index: the oldest by the time of sending") {
  Bench b(Index::Kind::standard);
  b.add(2);
  b.now = 200;
  b.add(1);
  CHECK(b.index.oldest_sent() == 100);
  CHECK(b.index.sent_before(200, 9) == std::vector<std::uint64_t>{2});
  CHECK(b.index.sent_before(201, 9) == std::vector<std::uint64_t>{2, 1});
  CHECK(b.index.sent_before(201, 1) == std::vector<std::uint64_t>{2});
  b.remove(2);
  CHECK(b.index.oldest_sent() == 200);
}
