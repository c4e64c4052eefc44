// Takes every thread of the process through a fork. fork(2) copies the memory of all threads but
// only the calling one goes on, and V8, libuv and Node.js wait for ever for the others sooner or
// later. Here each other thread is stopped inside a signal handler, where the state of its
// processor lies on its own stack; the child makes a new kernel thread for each stack, which
// returns from the handler as if nothing had happened.
//
// Why not without threads (--single-threaded): parallel collection and background compilation are
// lost, the flags are seen by the function, and of worker_threads' and libuv's threads some cannot
// be avoided. Why not new threads for the platform's queues: their layout changes with every
// version of Node.js.
//
// Everything is called on the main thread.
#pragma once

#include <sys/types.h>

namespace mayfly::fork {

// Helper threads beyond this number are too many to carry over.
inline constexpr int helpers_max = 64;

// Stops all other threads until release_threads() or the end of the process. Returns nullptr or
// the reason why it cannot be done; the threads go on then.
const char* stop_threads();
void release_threads();

// fork(2) without the handlers that pthread_atfork() registered: they put right what losing the
// other threads breaks, and none is lost. Only between stop_threads() and release_threads().
pid_t fork_stopped();
// In the child: makes the stopped threads anew and lets them go on, or ends the process when the
// system gives fewer.
void revive_threads();

// The number of other threads, or -1; `busy` becomes the id of one that does not wait in a system
// call, or 0.
int count_helpers(pid_t& busy);

}  // namespace mayfly::fork
