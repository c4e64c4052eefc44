// Companions: the init of a jail in which several processes have a life of their own: the program
// and what was started before it (Spec::companions). It tells of each end, and ends with the last.
//
// The server orders it by queued signals to the jail's init, whose value is the command: no other
// descriptor leads into a running jail. Processes inside could send the same, to no effect that
// they could not have by other means.
#pragma once

#include "sandbox/jail_steps.h"

namespace mayfly::sandbox {

enum class JailCommand { start_program = 1, kill_program = 2 };

// Server's side. 0, or -1 and errno.
int send_command(int pidfd, JailCommand command);

// Jail's side: starts the companions, reports, starts the program when it is told to.
[[noreturn]] void serve_with_companions(Plan& plan);

}  // namespace mayfly::sandbox
