#include "io/pipes.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

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

}  // namespace
}  // namespace mayfly::io
