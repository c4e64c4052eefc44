#include "io/byte_ring.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>

#include "io/shared_memory.h"

namespace mayfly::io {
namespace {

// The peer, which may do what it likes with the memory.
struct Peer {
  Peer() {
    auto made = ByteRing::make();
    REQUIRE(made);
    ring = std::move(made->ring);
    fd = std::move(made->memory);
    void* mapped =
        ::mmap(nullptr, ByteRing::memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(mapped != MAP_FAILED);
    memory = static_cast<char*>(mapped);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { ::munmap(memory, ByteRing::memory_bytes); }

  std::atomic_ref<std::uint32_t> number(std::size_t offset) const {
    return number_in(memory, offset);
  }
  bool put(std::string_view bytes) const {
    std::uint32_t tail = number(0);
    if (tail - number(64) + bytes.size() > ByteRing::room) return false;
    for (char byte : bytes) memory[4096 + tail++ % ByteRing::room] = byte;
    number(0) = tail;
    return true;
  }
  std::string take() { return std::string(ring->take(bytes)); }

  std::unique_ptr<ByteRing> ring;
  Fd fd;
  char* memory = nullptr;
  std::array<char, ByteRing::room> bytes{};
};

}  // namespace

TEST_CASE("bytes of a peer come once, in order, over the end of the memory") {
  Peer peer;
  CHECK(peer.take().empty());
  std::string all;
  std::string got;
  for (int i = 0; i < 5000; ++i) {
    auto text = std::to_string(i) + std::string(static_cast<std::size_t>(i % 40), 'x');
    REQUIRE(peer.put(text));
    all += text;
    if (i % 3 == 0) got += peer.take();
  }
  got += peer.take();
  CHECK(got == all);
  CHECK(peer.take().empty());
  CHECK(peer.ring->sound());
}

TEST_CASE("a full ring is taken whole") {
  Peer peer;
  CHECK(peer.put("abc"));
  CHECK(peer.take() == "abc");
  std::string whole(ByteRing::room, 'y');
  CHECK(peer.put(whole));
  CHECK_FALSE(peer.put("z"));
  CHECK(peer.take() == whole);
  CHECK(peer.put("z"));
  CHECK(peer.take() == "z");
}

TEST_CASE("the ring says that it waits when nothing is there, and not before") {
  Peer peer;
  CHECK(peer.number(128) == 1);
  peer.number(128) = 0;
  CHECK(peer.put("a"));
  CHECK(peer.take() == "a");
  CHECK(peer.number(128) == 0);
  CHECK(peer.take().empty());
  CHECK(peer.number(128) == 1);
}

TEST_CASE("a peer whose number of bytes cannot be is not believed any more") {
  for (std::uint32_t wrong : {std::uint32_t{ByteRing::room + 4}, 2U, 0x80000000U, 0xffffffffU}) {
    Peer peer;
    CHECK(peer.put("abc"));
    CHECK(peer.take() == "abc");
    peer.number(0) = wrong;
    CHECK(peer.take().empty());
    CHECK_FALSE(peer.ring->sound());
    peer.number(0) = 4;
    CHECK(peer.take().empty());
  }
}

TEST_CASE("the number of bytes taken is ours: what the peer makes of it changes nothing") {
  Peer peer;
  CHECK(peer.put("abc"));
  peer.number(64) = 77;
  CHECK(peer.take() == "abc");
  CHECK(peer.ring->sound());
}

TEST_CASE("the memory of answers can become neither shorter nor longer") {
  Peer peer;
  CHECK(::ftruncate(peer.fd.get(), 0) != 0);
  CHECK(::ftruncate(peer.fd.get(), 1 << 20) != 0);
}

TEST_CASE("a peer that looks whether we wait after each put is never left unheard") {
  Peer peer;
  constexpr int records = 50'000;
  std::atomic<int> told = 0;
  std::thread other([&] {
    for (int i = 0; i < records; ++i) {
      std::string_view record(reinterpret_cast<const char*>(&i), sizeof i);
      while (!peer.put(record)) std::this_thread::yield();
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (peer.number(128).load() != 0 && peer.number(128).exchange(0) != 0) {
        ++told;
        told.notify_one();
      }
    }
  });
  int next = 0;
  int heard = 0;
  bool in_order = true;
  while (next < records) {
    auto bytes = peer.ring->take(peer.bytes);
    REQUIRE(peer.ring->sound());
    if (bytes.empty()) {
      told.wait(heard);
      heard = told;
      continue;
    }
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(int)) {
      int number = 0;
      std::memcpy(&number, bytes.data() + at, sizeof number);
      in_order = in_order && number == next;
      ++next;
    }
  }
  other.join();
  CHECK(in_order);
}

}  // namespace mayfly::io
