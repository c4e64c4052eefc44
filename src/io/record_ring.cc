#include "io/record_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "io/shared_memory.h"

namespace mayfly::io {
namespace {

constexpr std::size_t head_at = 0;
constexpr std::size_t tail_at = 64;
constexpr std::size_t asleep_at = 128;

}  // namespace

Result<RecordRing::Made> RecordRing::make() {
  TRY_ASSIGN(auto pipe, make_pipe());
  if (::fcntl(pipe.write_end.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("fcntl", errno);
  TRY_ASSIGN(auto shared, make_shared_memory("events", memory_bytes));
  std::unique_ptr<RecordRing> ring(new RecordRing(shared.mapped, std::move(pipe.write_end)));
  return Made{std::move(ring), std::move(shared.fd), std::move(pipe.read_end)};
}

RecordRing::~RecordRing() { ::munmap(memory_, memory_bytes); }

std::size_t RecordRing::waiting(std::uint32_t head) {
  // Between where it stood and what there is.
  sound_ = sound_ && tail_ - head <= tail_ - head_;
  if (!sound_) return 0;
  head_ = head;
  return tail_ - head;
}

bool RecordRing::put(std::string_view record) {
  if (record.size() > record_max_bytes) return false;
  if (waiting(number_in(memory_, head_at).load(std::memory_order_acquire)) == slots || !sound_)
    return false;
  std::size_t slot = tail_ % slots;
  std::memcpy(memory_ + (slot + 1) * record_max_bytes, record.data(), record.size());
  kept_[slot] = {};
  std::memcpy(kept_[slot].data(), record.data(), std::min(record.size(), kept_bytes));
  number_in(memory_, tail_at).store(++tail_, std::memory_order_release);
  return true;
}

// The peer says that it will wait, and then looks whether there is something; here it is the other
// way round. So one of both sees what the other did.
void RecordRing::tell() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (number_in(memory_, asleep_at).load() == 0 || number_in(memory_, asleep_at).exchange(0) == 0)
    return;
  char byte = 0;
  // A pipe that is full wakes it as well.
  while (::write(bell_.get(), &byte, 1) < 0 && errno == EINTR) {
  }
}

std::string_view RecordRing::take_back(std::span<char> into) {
  auto head = number_in(memory_, head_at);
  std::uint32_t seen = head.load(std::memory_order_acquire);
  while (waiting(seen) > 0) {
    if (!head.compare_exchange_strong(seen, seen + 1)) continue;
    head_ = seen + 1;
    const auto& kept = kept_[seen % slots];
    std::size_t size = std::min(into.size(), kept.size());
    std::memcpy(into.data(), kept.data(), size);
    return {into.data(), size};
  }
  return {};
}

}  // namespace mayfly::io
