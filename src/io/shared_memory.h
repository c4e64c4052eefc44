// Memory that another process maps as well. It can become neither shorter nor longer, so that
// nothing that the other does with its descriptor makes reading here fail.
#pragma once

#include "io/fd.h"

namespace mayfly::io {

struct SharedMemory {
  char* mapped = nullptr;  // the caller's to unmap
  Fd fd;                   // for the other
};

// Of zeroes. Errors: as of memfd_create(2), ftruncate(2) and mmap(2).
Result<SharedMemory> make_shared_memory(const char* name, std::size_t bytes);

}  // namespace mayfly::io
