#include "io/duplex.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mayfly::io {
namespace {

struct Collector final : Duplex::Sink {
  std::string bytes;
  int ends = 0;
  std::unique_ptr<Duplex> duplex;
  void on_bytes(std::string_view more) override { bytes += more; }
  void on_end() override {
    ++ends;
    duplex.reset();  // allowed here
  }
};

struct Pair {
  SystemClock clock;
  Loop loop{clock};
  Collector sink;
  Fd far;
  Pair() {
    auto ends = socket_pair();
    REQUIRE(ends);
    far = std::move(ends->second);
    sink.duplex = std::make_unique<Duplex>(loop, std::move(ends->first), sink);
  }
  std::string read_far() const {
    std::string out(1 << 20, '\0');
    ssize_t got = ::recv(far.get(), out.data(), out.size(), MSG_DONTWAIT);
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
  }
};

TEST_CASE("a duplex reads all that comes, and tells the end once") {
  Pair pair;
  std::string big(300'000, 'b');
  std::size_t written = 0;
  while (written < big.size()) {
    ssize_t put = ::send(pair.far.get(), big.data() + written, big.size() - written, MSG_DONTWAIT);
    if (put > 0) written += static_cast<std::size_t>(put);
    pair.loop.run_ready();
  }
  CHECK(pair.sink.bytes == big);
  ::send(pair.far.get(), "last", 4, 0);
  pair.far.reset();  // the end arrives together with bytes
  pair.loop.run_ready();
  CHECK(pair.sink.bytes == big + "last");
  CHECK(pair.sink.ends == 1);
  CHECK(pair.sink.duplex == nullptr);
}

TEST_CASE("what the peer does not take is kept, in order, until it does") {
  Pair pair;
  std::string all;
  for (int i = 0; i < 40; ++i) {
    std::string piece(50'000, static_cast<char>('a' + i % 26));
    all += piece;
    pair.sink.duplex->send(std::move(piece));
  }
  pair.sink.duplex->finish();
  std::string got;
  for (int turns = 0; turns < 1000 && got.size() < all.size(); ++turns) {
    got += pair.read_far();
    pair.loop.run_ready();
  }
  CHECK(got == all);
  char byte = 0;
  CHECK(::recv(pair.far.get(), &byte, 1, 0) == 0);  // finish() ended our side
  ::send(pair.far.get(), "late", 4, MSG_NOSIGNAL);
  pair.far.reset();
  pair.loop.run_ready();
  CHECK(pair.sink.bytes.empty());
  CHECK(pair.sink.ends == 1);
}

TEST_CASE("a peer that breaks off ends the duplex") {
  Pair pair;
  pair.far.reset();
  pair.sink.duplex->send("into the void");
  pair.loop.run_ready();
  CHECK(pair.sink.ends == 1);
}

TEST_CASE("an acceptor hands over connections, those that waited before it too") {
  SystemClock clock;
  Loop loop(clock);
  auto listener = listen_tcp("127.0.0.1", 0);
  REQUIRE(listener);
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  REQUIRE(::getsockname(listener->get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  auto connect = [&] {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    return fd;
  };
  std::vector<Fd> ours;
  Fd early = connect();
  Acceptor acceptor(loop, std::move(*listener), [&](Fd fd) { ours.push_back(std::move(fd)); });
  loop.run_ready();
  CHECK(ours.size() == 1);
  Fd a = connect();
  Fd b = connect();
  loop.run_ready();
  CHECK(ours.size() == 3);
}

}  // namespace
}  // namespace mayfly::io
