// Where JavaScript is, told from outside while it runs.
#pragma once

namespace mayfly::fork {

// At the signal of src/sandbox/evidence.h the stack of the calling thread's JavaScript is written
// to standard error as soon as it runs: in a busy loop at once, in a blocking call after it, and in
// an empty event loop not at all, since there is none then. Forks keep this. Without the symbols
// that it needs nothing happens.
void tell_stacks();

}  // namespace mayfly::fork
