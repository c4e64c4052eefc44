// Every process below one, for machines without control groups.
#pragma once

#include <set>

#include "sandbox/sandbox.h"

namespace mayfly::sandbox {

// Those that live now, by their numbers; about `most` where there are more.
std::set<int> processes_below(int root, std::size_t most);

// Sends `number` to all processes below `root` (the jail's init), which keeps running so that it
// still reaps. Repeats until no new process appears.
void signal_tree(int root, int number);

// Sums over the processes that live now: shared pages count once in each, and the peak is the sum
// of each one's own peak.
Stats tree_stats(int root);

}  // namespace mayfly::sandbox
