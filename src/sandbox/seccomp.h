// The system-call filter of every jail: rows of resources/seccomp.inc compiled once to a BPF
// program, which each jail loads as it is.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/result.h"

namespace mayfly::sandbox {

// The compiled program, as handed to seccomp(2). In that of a template, and so of its forks, setns
// asks the tracer, who is the template's init or nobody; ptrace itself stays forbidden.
enum class FilterFor { jail, forkable };
Result<std::vector<sock_filter>> compile_seccomp(FilterFor what);
// Loads it for the calling process; needs no_new_privs. Answers 0 or an errno.
int load_seccomp(const std::vector<sock_filter>& program);

}  // namespace mayfly::sandbox
