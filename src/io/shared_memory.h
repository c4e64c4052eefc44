// Memory that another process maps as well. It can become neither shorter nor longer, so that
// nothing that the other does with its descriptor makes reading here fail.
#pragma once

#include <atomic>
#include <cstdint>

#include "io/fd.h"

namespace mayfly::io {

struct SharedMemory {
  char* mapped = nullptr;  // the caller's to unmap
  Fd fd;                   // for the other
};

// Of zeroes. Errors: as of memfd_create(2), ftruncate(2) and mmap(2).
Result<SharedMemory> make_shared_memory(const char* name, std::size_t bytes);

static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free);

// A number in it that both sides read and write.
inline std::atomic_ref<std::uint32_t> number_in(char* memory, std::size_t offset) {
  return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory + offset));
}

}  // namespace mayfly::io
