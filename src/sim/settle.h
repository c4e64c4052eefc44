// settle: lets a test's tasks run until nothing is left that needs no time.
#pragma once

#include <barrier>

#include "io/workers.h"

namespace mayfly::sim {

// With what they do on the two workers: both meet when all before is done.
inline void settle(io::Loop& loop, io::Workers& workers) {
  auto meet = [](io::Workers& at, std::barrier<>& meeting) -> io::Task<void> {
    co_await at.run([&meeting] {
      meeting.arrive_and_wait();
      return 0;
    });
  };
  for (int round = 0; round < 4; ++round) {
    std::barrier meeting(2);
    io::TaskScope both(loop);
    both.spawn(meet(workers, meeting));
    both.spawn(meet(workers, meeting));
    loop.run_until(both.close());
    loop.run_ready();
  }
}

}  // namespace mayfly::sim
