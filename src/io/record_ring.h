// RecordRing: records for one peer in memory that both have mapped. Giving and taking one costs no
// system call; a byte through a pipe wakes a peer that waits.
//
// Bytes of the memory, integers little-endian (every processor we run on is):
//   0      4   head: records taken, by the peer or back by us, ever
//   64     4   tail: records put, ever
//   128    4   1: the peer is about to wait at the pipe, or waits
//   4096       slot 0; record number n lies in slot n modulo `slots`, 4,096 bytes each. A record
//              says by itself where it ends.
//
// The peer copies the record that `head` names and then takes it by moving `head` on with a
// compare-and-exchange; we take one back in the same way, so a record is with one of both, never
// both. The peer can write whatever it likes there: nothing but `head` and the third number is
// read here, and a `head` that cannot be makes the ring unsound for good. The memory cannot become
// shorter (it is sealed). Loop thread only.
#pragma once

#include <array>

#include "io/pipes.h"

namespace mayfly::io {

class RecordRing final : public Records {
 public:
  static constexpr std::size_t slots = 16;
  static constexpr std::size_t memory_bytes = (slots + 1) * record_max_bytes;

  struct Made;
  static Result<Made> make();
  RecordRing(const RecordRing&) = delete;
  RecordRing& operator=(const RecordRing&) = delete;
  ~RecordRing() override;

  bool put(std::string_view record) override;
  void tell() override;
  std::string_view take_back(std::span<char> into) override;
  bool sound() const override { return sound_; }

 private:
  RecordRing(char* memory, Fd bell) : memory_(memory), bell_(std::move(bell)) {}
  // Records that the peer has not taken, by what it says; nothing where it cannot be.
  std::size_t waiting(std::uint32_t head);

  char* memory_;
  Fd bell_;
  std::uint32_t tail_ = 0;
  std::uint32_t head_ = 0;  // as last seen
  bool sound_ = true;
  // What take_back() answers: never read from where the peer can write.
  std::array<std::array<char, kept_bytes>, slots> kept_{};
};

struct RecordRing::Made {
  std::unique_ptr<RecordRing> ring;
  Fd memory;  // of the peer
  Fd bell;    // likewise: the pipe's read end, which blocks
};

}  // namespace mayfly::io
