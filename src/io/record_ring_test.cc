#include "io/record_ring.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "io/shared_memory.h"

namespace mayfly::io {
namespace {

// The peer, which may do what it likes with the memory.
struct Peer {
  Peer() {
    auto made = RecordRing::make();
    REQUIRE(made);
    ring = std::move(made->ring);
    bell = std::move(made->bell);
    fd = std::move(made->memory);
    void* mapped =
        ::mmap(nullptr, RecordRing::memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(mapped != MAP_FAILED);
    memory = static_cast<char*>(mapped);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { ::munmap(memory, RecordRing::memory_bytes); }

  std::atomic_ref<std::uint32_t> number(std::size_t offset) const {
    return number_in(memory, offset);
  }
  std::string take(std::size_t size) const {
    std::uint32_t next = number(0);
    if (next == number(64)) return {};
    std::string out(memory + (1 + next % RecordRing::slots) * RecordRing::record_max_bytes, size);
    return number(0).compare_exchange_strong(next, next + 1) ? out : "taken back";
  }
  std::size_t rung() const {
    ::fcntl(bell.get(), F_SETFL, O_NONBLOCK);
    std::array<char, 64> bytes{};
    ssize_t got = ::read(bell.get(), bytes.data(), bytes.size());
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  std::string_view back() { return ring->take_back(bytes).substr(0, 3); }

  std::unique_ptr<RecordRing> ring;
  Fd bell;
  Fd fd;
  char* memory = nullptr;
  std::array<char, RecordRing::record_max_bytes> bytes{};
};

}  // namespace

TEST_CASE("of a ring's records each goes to the peer, or is taken back, in order") {
  Peer peer;
  for (std::string_view record : {"one", "two", "thr"}) CHECK(peer.ring->put(record));
  CHECK(peer.take(3) == "one");
  CHECK(peer.back() == "two");
  CHECK(peer.ring->put("fou"));
  CHECK(peer.back() == "thr");
  CHECK(peer.take(3) == "fou");
  CHECK(peer.back().empty());
  CHECK(peer.take(3).empty());
  CHECK(peer.ring->sound());
}

TEST_CASE("a full ring says so; the largest record is whole") {
  Peer peer;
  std::string largest(RecordRing::record_max_bytes, 'x');
  CHECK_FALSE(peer.ring->put(largest + 'x'));
  for (std::size_t i = 0; i < RecordRing::slots; ++i) CHECK(peer.ring->put(largest));
  CHECK_FALSE(peer.ring->put("more"));
  CHECK(peer.take(largest.size()) == largest);
  CHECK(peer.ring->put("more"));
  CHECK_FALSE(peer.ring->put("more"));
  for (std::size_t i = 0; i < RecordRing::slots; ++i) CHECK(peer.back().size() == 3);
  CHECK(peer.back().empty());
}

TEST_CASE("a byte tells a peer that waits, and only that one") {
  Peer peer;
  CHECK(peer.ring->put("one"));
  peer.ring->tell();
  CHECK(peer.rung() == 0);
  peer.number(128) = 1;
  CHECK(peer.ring->put("two"));
  CHECK(peer.ring->put("thr"));
  peer.ring->tell();
  peer.ring->tell();
  CHECK(peer.rung() == 1);
  CHECK(peer.number(128) == 0);
  // One that says so all the time is told until its pipe is full, and nothing else.
  for (int i = 0; i < 100'000; ++i) {
    peer.number(128) = 1;
    peer.ring->tell();
  }
  CHECK(peer.take(3) == "one");
}

TEST_CASE("a peer whose number cannot be is not believed any more") {
  for (std::uint32_t wrong : {0U, 4U, 0x80000000U, 0xffffffffU}) {
    Peer peer;
    for (std::string_view record : {"one", "two", "thr"}) CHECK(peer.ring->put(record));
    CHECK(peer.back() == "one");
    peer.number(0) = wrong;
    CHECK(peer.back().empty());
    CHECK_FALSE(peer.ring->sound());
    peer.number(0) = 1;
    CHECK(peer.back().empty());
    CHECK_FALSE(peer.ring->put("fou"));
  }
}

TEST_CASE("what is taken back is what was put, whatever the peer has made of the memory") {
  Peer peer;
  CHECK(peer.ring->put("one"));
  std::memset(peer.memory + 64, 0xff, RecordRing::memory_bytes - 64);
  CHECK(peer.back() == "one");
  CHECK(peer.back().empty());
  CHECK(peer.ring->put("two"));
  CHECK(peer.take(3) == "two");
}

TEST_CASE("the memory can become neither shorter nor longer") {
  Peer peer;
  CHECK(::ftruncate(peer.fd.get(), 0) != 0);
  CHECK(::ftruncate(peer.fd.get(), 1 << 20) != 0);
  CHECK(peer.ring->put("one"));
}

TEST_CASE("the peer's end of the pipe ends with the ring") {
  Peer peer;
  CHECK(peer.ring->put("one"));
  peer.ring.reset();
  char byte = 0;
  CHECK(::read(peer.bell.get(), &byte, 1) == 0);
  CHECK(peer.take(3) == "one");
}

TEST_CASE("no record is lost and none comes twice while some are taken back") {
  Peer peer;
  constexpr int records = 20'000;
  std::vector<int> seen(records);
  std::atomic<bool> over = false;
  std::thread other([&] {
    while (true) {
      bool last = over;
      auto bytes = peer.take(sizeof(int));
      int number = 0;
      if (bytes.size() == sizeof number) {
        std::memcpy(&number, bytes.data(), sizeof number);
        ++seen[static_cast<std::size_t>(number)];
      } else if (bytes.empty()) {
        if (last) return;
        std::this_thread::yield();
      }
    }
  });
  std::vector<int> back(records);
  auto recall = [&] {
    auto bytes = peer.ring->take_back(peer.bytes);
    int number = 0;
    if (bytes.size() < sizeof number) return;
    std::memcpy(&number, bytes.data(), sizeof number);
    ++back[static_cast<std::size_t>(number)];
  };
  for (int i = 0; i < records; ++i) {
    std::string_view record(reinterpret_cast<const char*>(&i), sizeof i);
    while (!peer.ring->put(record)) std::this_thread::yield();
    if (i % 3 == 0) recall();
  }
  over = true;
  other.join();
  CHECK(peer.ring->sound());
  int once = 0;
  for (std::size_t i = 0; i < records; ++i) once += seen[i] + back[i] == 1 ? 1 : 0;
  CHECK(once == records);
}

}  // namespace mayfly::io
