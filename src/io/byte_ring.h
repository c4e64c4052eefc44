// ByteRing: bytes of one peer in memory that both have mapped. Giving and taking them costs no
// system call; a peer that finds us waiting tells us by other means, as it did before.
//
// Bytes of the memory, integers little-endian (every processor we run on is):
//   0      4   tail: bytes put by the peer, ever
//   64     4   head: bytes taken by us, ever
//   128    4   1: we wait; the peer sets it to 0 and tells us
//   4096       `room` bytes; byte number n lies at n modulo `room`
//
// The peer moves `tail` when the bytes are there, and then looks whether we wait; we say that we
// wait and then look at `tail`: so one of both sees what the other did. The peer can write whatever
// it likes there: nothing but `tail` and the bytes is read here, a `tail` that cannot be makes the
// ring unsound for good, and bytes are copied before anybody looks at them. The memory is sealed
// against becoming shorter. Loop thread only.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "io/fd.h"

namespace mayfly::io {

class ByteRing {
 public:
  static constexpr std::size_t room = std::size_t{16} * 1024;
  static constexpr std::size_t memory_bytes = 4096 + room;

  struct Made;
  static Result<Made> make();
  ByteRing(const ByteRing&) = delete;
  ByteRing& operator=(const ByteRing&) = delete;
  ~ByteRing();

  // What is there, copied into `into`. Nothing: the peer will tell.
  std::string_view take(std::span<char, room> into);
  // False: the peer has done what cannot be; nothing comes from it any more.
  bool sound() const { return sound_; }

 private:
  explicit ByteRing(char* memory) : memory_(memory) {}
  std::size_t waiting();

  char* memory_;
  std::uint32_t head_ = 0;
  bool sound_ = true;
};

struct ByteRing::Made {
  std::unique_ptr<ByteRing> ring;
  Fd memory;  // of the peer
};

}  // namespace mayfly::io
