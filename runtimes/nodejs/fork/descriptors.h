// The descriptors of the process, made the child's own. A fork shares the open files themselves:
// an eventfd or a pipe through which threads wake each other would wake those of the other process,
// and an epoll set would report into both. The plan is made once, when nothing runs any more; each
// child executes it.
#pragma once

#include <cstddef>

namespace mayfly::fork {

// What the interpreter itself had open before any code of the function ran.
void mark_descriptors();
// Plans the renewal of all descriptors but the first `first`. False: one of them cannot be carried
// over, which `reason` names.
bool plan_descriptors(int first, char* reason, std::size_t reason_size);
// In the child, by the plan. False: a descriptor could not be made.
bool renew_descriptors();

}  // namespace mayfly::fork
