// The init of a jail whose program parks until it becomes an environment: a guest that has booted
// without a function, and cannot be forked.
//
// The jail is an ordinary one, in its final namespaces, control group and user, and its init as
// powerless as any other. What is missing is put in when a function is known, in this order:
//
//   launcher   limits; the code and the layers are attached (launcher_specialise.cc)
//   init       changes the program's directory to /var/task: the one it started in lies beneath
//   init       loads its own filter of system calls, since it traces nothing any more
//   init       hands the environment over (fork_order.h)
#pragma once

#include <sys/types.h>

#include "io/fd.h"
#include "sandbox/jail_steps.h"

namespace mayfly::sandbox {

// Waits for the order; returns when the program has taken it. Ends the process, and so the jail,
// with the program, with the launcher, or when the order cannot be carried out.
void serve_until_specialised(Plan& plan, pid_t program, io::Fd orders);

// Steps in reports are numbered from here on.
inline constexpr int specialise_step_base = 100;
const char* specialise_step_name(int index);

}  // namespace mayfly::sandbox
