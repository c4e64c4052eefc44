#include "io/processors.h"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace mayfly::io {

unsigned own_processors() {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return std::max(1u, std::thread::hardware_concurrency());  // more than a set has room for
  }
  return std::max(1u, static_cast<unsigned>(CPU_COUNT(&allowed)));
}

}  // namespace mayfly::io
