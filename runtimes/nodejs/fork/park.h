// The park loop: waits to be forked and returns in each child, where the order is then waited for.
#pragma once

namespace mayfly::fork {

// Descriptors of every guest, and of a template.
inline constexpr int channel_fd = 3;
inline constexpr int log_fd = 4;
inline constexpr int fork_fd = 5;

// Stops all threads, says PARKED on the channel and waits. `generic`: orders carry the whole
// environment, not changes. Returns nullptr in a child, with its event loop and its threads, or why
// this process must not be forked (the text stays valid); then nothing was sent and it runs on as
// before. The template itself ends here, with the socket. Nothing is allocated while threads stand
// still: one of them may hold a lock.
const char* park(bool generic);

// In the child: whether its order is there, and the waiting for it. Then output, channel and log
// are its own.
bool order_waits();
void take_order();

// In the child, before any code of the function: its environment. READY may go out before.
void complete();

// What the child cannot do without: it says so and ends.
void require(bool good, const char* what);

}  // namespace mayfly::fork
