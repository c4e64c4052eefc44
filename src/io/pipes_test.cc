#include "io/pipes.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "sim/manual_clock.h"

namespace mayfly::io {
namespace {

TEST_CASE("a read of a pipe of records takes one; what nobody took can be taken back, in order") {
  auto made = RecordPipe::make();
  REQUIRE(made);
  auto& [pipe, theirs] = *made;
  for (std::string_view record : {"one", "two", "three"}) CHECK(pipe.put(record));
  std::array<char, RecordPipe::record_max_bytes> bytes{};
  CHECK(::read(theirs.get(), bytes.data(), bytes.size()) == 3);
  CHECK(pipe.take_back(bytes) == "two");
  CHECK(pipe.put("four"));
  CHECK(pipe.take_back(bytes) == "three");
  CHECK(::read(theirs.get(), bytes.data(), bytes.size()) == 4);
  CHECK(pipe.take_back(bytes).empty());
}

TEST_CASE("a record of the largest size is one piece; a full pipe says so") {
  auto made = RecordPipe::make();
  REQUIRE(made);
  auto& [pipe, theirs] = *made;
  std::string largest(RecordPipe::record_max_bytes, 'x');
  int count = 0;
  while (count < 1000 && pipe.put(largest)) ++count;
  CHECK(count >= 2);
  CHECK(count < 1000);
  std::array<char, 2 * RecordPipe::record_max_bytes> bytes{};
  CHECK(::read(theirs.get(), bytes.data(), bytes.size()) == RecordPipe::record_max_bytes);
  CHECK(pipe.put("again"));
}

TEST_CASE("the peer of a pipe of records reads its end when we are gone") {
  Fd theirs;
  {
    auto made = RecordPipe::make();
    REQUIRE(made);
    CHECK(made->first.put("last"));
    theirs = std::move(made->second);
  }
  std::array<char, 16> bytes{};
  CHECK(::read(theirs.get(), bytes.data(), bytes.size()) == 4);
  CHECK(::read(theirs.get(), bytes.data(), bytes.size()) == 0);
}

TEST_CASE("a pipe reader hands over what comes, when the loop tells or at once") {
  struct Collector final : PipeReader::Sink {
    std::string bytes;
    void on_pipe_bytes(std::string_view more) override { bytes += more; }
  } sink;
  SystemClock clock;
  Loop loop(clock);
  auto pipe = make_pipe();
  REQUIRE(pipe);
  PipeReader reader(loop, std::move(pipe->read_end), sink);
  REQUIRE(::write(pipe->write_end.get(), "told", 4) == 4);
  loop.run_ready();
  CHECK(sink.bytes == "told");
  REQUIRE(::write(pipe->write_end.get(), "pulled", 6) == 6);
  reader.pull();
  CHECK(sink.bytes == "toldpulled");
  pipe->write_end.reset();
  loop.run_ready();
  CHECK(sink.bytes == "toldpulled");
}

TEST_CASE("descriptors go over a socket with one byte") {
  auto pair = socket_pair();
  auto pipe = make_pipe();
  REQUIRE(pair);
  REQUIRE(pipe);
  std::array<int, 2> sent{pipe->read_end.get(), pipe->write_end.get()};
  REQUIRE(send_descriptors(pair->first.get(), sent));
  char byte = 1;
  iovec part{&byte, 1};
  std::array<int, 2> got{-1, -1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof got)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  REQUIRE(::recvmsg(pair->second.get(), &message, MSG_CMSG_CLOEXEC) == 1);
  REQUIRE(CMSG_FIRSTHDR(&message)->cmsg_len == CMSG_LEN(sizeof got));
  std::memcpy(got.data(), CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
  Fd read_end(got[0]);
  Fd write_end(got[1]);
  REQUIRE(::write(write_end.get(), "x", 1) == 1);
  CHECK(::read(pipe->read_end.get(), &byte, 1) == 1);
  CHECK(byte == 'x');
  std::array<int, 5> many{};
  CHECK(!send_descriptors(pair->first.get(), many));
}

TEST_CASE("what is put off to the end of a turn runs before the loop looks again") {
  struct Later final : Loop::TurnHandler {
    int turns = 0;
    void on_turn_end() override { ++turns; }
  };
  SystemClock clock;
  Loop loop(clock);
  Later later;
  Later forgotten;
  loop.at_turn_end(later);
  loop.at_turn_end(forgotten);
  loop.forget_turn_end(forgotten);
  loop.run_ready();
  loop.run_ready();
  CHECK(later.turns == 1);
  CHECK(forgotten.turns == 0);
}

// Three pipes: what the first brings makes the third readable, and something is put off.
struct Turn final : Loop::TurnHandler {
  struct Handler final : Loop::FdHandler {
    Handler(Turn& turn, char name) : turn(turn), name(name) {
      auto made = make_pipe();
      REQUIRE(made);
      pipe = std::move(*made);
      REQUIRE(turn.loop.add_fd(pipe.read_end.get(), *this, Loop::Interest::bytes));
    }
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    ~Handler() { turn.loop.remove_fd(pipe.read_end.get(), *this); }
    void on_events(std::uint32_t) override {
      turn.order += name;
      if (name == 'a') turn.loop.at_turn_end(turn), turn.c.tell();
    }
    void tell() const { REQUIRE(::write(pipe.write_end.get(), &name, 1) == 1); }
    Turn& turn;
    char name;
    Pipe pipe;
  };
  void on_turn_end() override {
    order += 't';
    if (order.size() == expected) loop.stop();
  }
  SystemClock clock;
  Loop loop{clock};
  std::string order;
  std::size_t expected = 0;
  Handler a{*this, 'a'}, b{*this, 'b'}, c{*this, 'c'};
};

TEST_CASE("what comes while several events are served belongs to their turn") {
  Turn turn;
  turn.a.tell();
  turn.b.tell();
  turn.expected = 4;
  turn.loop.run();
  CHECK(turn.order == "abct");
}

TEST_CASE("for a single event no turn looks again") {
  Turn turn;
  turn.a.tell();
  turn.expected = 2;
  turn.loop.run();
  CHECK(turn.order.substr(0, 2) == "at");
}

TEST_CASE("the time of the turn is that of its beginning, or later") {
  sim::ManualClock clock;
  Loop loop(clock);
  CHECK(loop.lately() == clock.mono());
  clock.advance(std::chrono::seconds(5));
  loop.run_ready();
  CHECK(loop.lately() == clock.mono());
}

}  // namespace
}  // namespace mayfly::io
