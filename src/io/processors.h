// Processors that this process may use, and its children with it: a container or taskset may leave
// it few of the machine's. Never 0. Any thread.
#pragma once

namespace mayfly::io {

unsigned own_processors();

}  // namespace mayfly::io
