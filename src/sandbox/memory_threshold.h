// Memory alarms of cgroup v1 (memory_alarm.h), on one group's directory: a threshold of the usage
// at the limit, which the kernel tells an eventfd about, and the hard limit above it (kernel
// documentation, "Memory Resource Controller", 2.5 and 9). A threshold tells of both directions.
//
// All of these wait for the kernel: to set a threshold for a grace period of RCU, 5 to 25 ms; the
// others until pages have been given back. They are called in the memory helper alone
// (memory_helper.h). No state. A directory that is gone is a failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "sandbox/memory_alarm.h"

namespace mayfly::sandbox {

// Of a group whose limit is `limit_bytes`. After a failure that is still its limit.
bool arm_threshold(const std::string& dir, std::uint64_t limit_bytes, int eventfd);
// Makes the kernel drop pages of files, so that usage can cross the threshold once more. False: it
// is out of memory. Else it is under the limit, if that could be reached in 50 ms.
bool squeeze(const std::string& dir, std::uint64_t limit_bytes);
// The hard limit is the limit again: the kernel kills. False: it is out of memory, or
// the rest could not be dropped in 50 ms.
bool lower_limit(const std::string& dir, std::uint64_t limit_bytes);
// The same, where the largest process is killed, one after the other, until the rest does fit.
// False: it did not in time.
bool kill_until_lowered(const std::string& dir, std::uint64_t limit_bytes,
                        std::chrono::milliseconds time = memory_hold_time);

}  // namespace mayfly::sandbox
