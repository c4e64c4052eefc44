#include "io/byte_ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "io/shared_memory.h"

namespace mayfly::io {
namespace {

constexpr std::size_t tail_at = 0;
constexpr std::size_t head_at = 64;
constexpr std::size_t waits_at = 128;
constexpr std::size_t bytes_at = 4096;

}  // namespace

Result<ByteRing::Made> ByteRing::make() {
  TRY_ASSIGN(auto shared, make_shared_memory("answers", memory_bytes));
  std::unique_ptr<ByteRing> ring(new ByteRing(shared.mapped));
  number_in(shared.mapped, waits_at) = 1;
  return Made{std::move(ring), std::move(shared.fd)};
}

ByteRing::~ByteRing() { ::munmap(memory_, memory_bytes); }

std::size_t ByteRing::waiting() {
  std::uint32_t there = number_in(memory_, tail_at).load(std::memory_order_acquire) - head_;
  sound_ = sound_ && there <= room;
  return sound_ ? there : 0;
}

std::string_view ByteRing::take(std::span<char, room> into) {
  std::size_t size = waiting();
  if (size == 0) {
    number_in(memory_, waits_at).store(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    size = waiting();
    if (size == 0) return {};
    number_in(memory_, waits_at).store(0);
  }
  std::size_t at = head_ % room;
  std::size_t first = std::min(size, room - at);
  std::memcpy(into.data(), memory_ + bytes_at + at, first);
  std::memcpy(into.data() + first, memory_ + bytes_at, size - first);
  head_ += static_cast<std::uint32_t>(size);
  number_in(memory_, head_at).store(head_, std::memory_order_release);
  return {into.data(), size};
}

}  // namespace mayfly::io
