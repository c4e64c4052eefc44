// PoisedProgram: a jail's program that has been executed ahead of its start, and stands before
// the first thing that it would do by itself.
//
// The init traces it through its execve(2) and through what loaders and C libraries do for every
// program: files are mapped, the processor is asked what it can do. It is held at the first system
// call that is none of these: set_tid_address(2) with glibc and musl, linked statically or not,
// sched_getaffinity(2) with Go. No code of the program's author has run by then; one that brings
// start-up code of its own has done no more than compute. Its variables are stand-ins of the same
// lengths until the start brings the true ones, so that it holds nothing of any environment.
//
// Like fork_tracer.h on x86-64 only: elsewhere nothing is poised.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "sandbox/jail_steps.h"

namespace mayfly::sandbox {

// Whether such a program can be executed ahead: it does not park, has no companions, no descriptor
// beside its output, and no folder that others write to.
bool may_be_poised(const Spec& spec);
// Whether the two differ in nothing but their variables and their ids.
bool is_same_program(const Spec& one, const Spec& other);
// What stands for `env` until the start: the same names, and values of the same lengths, which are
// true where a loader or a C library reads them before the program runs.
std::vector<std::string> stand_in(const std::vector<std::string>& env);
// Whether `env` can take the place of `stand_ins`: the same names in the same order, no more bytes.
bool takes_place_of(const std::vector<std::string>& env, const std::vector<std::string>& stand_ins);

// In the jail's init, in place of start_ready_process(): executes plan.ready, holds it, reports
// that (Report::poised), waits for the start, which comes as a second order, and lets the program
// run with its variables. Answers the program, or -1: then it has been reported why not.
pid_t start_poised_program(Plan& plan, int exec_step);

}  // namespace mayfly::sandbox
