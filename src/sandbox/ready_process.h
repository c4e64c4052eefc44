// ReadyProcess: the process that becomes a jail's program, made before anybody knows which one.
//
// A child of the jail's init that has entered the jail's user namespace, holds no capabilities and
// has its filter of system calls; it waits until the order is there, and what is left then is
// execve(2). It shares the init's memory and descriptors, as a child of vfork(2) does, until then:
// the two never run at the same time beyond a system call that waits. A function's code it has
// never run, and it holds nothing that the init does not hold.
//
// Only of jails whose program neither parks nor has companions; the others let it go.
#pragma once

#include <sys/types.h>

#include <span>

#include "sandbox/jail_steps.h"

namespace mayfly::sandbox {

// Makes plan.ready, which has taken all steps of Run::both and Run::program_ahead when this
// returns. A step that fails has been reported by it, and the caller ends.
Outcome make_ready_process(Plan& plan, std::span<const Step> steps);
// It takes the steps of Run::program and executes what the order names. Answers when it has, or -1:
// then it has reported why not (`exec_step`: as what a failed execve is reported), and has ended.
pid_t start_ready_process(Plan& plan, int exec_step);
// As the init numbers it, and as the program that it becomes.
pid_t ready_process_id(const Plan& plan);
// It ends without having done anything.
void dismiss_ready_process(Plan& plan);

}  // namespace mayfly::sandbox
