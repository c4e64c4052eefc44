// The single steps by which a jail's first process prepares it: each does one thing and answers
// what failed. jail.cc and nested_jail.cc put them in order.
//
// Run by the jail's init alone, single-threaded, with every signal blocked.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "io/fd.h"
#include "sandbox/copy_tree.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox {

struct ReadyProcess;

struct Plan {
  // Known when the jail is cloned. The child has the launcher's current directory, the template
  // root; a nested jail has the root of its host.
  std::vector<int> group_tasks;  // of control groups: write "0" to join
  int network = -1;              // namespaces
  int user = -1;
  int null = -1;                // /dev/null
  int control = -1;             // our end of the control socket
  int host = -1;                // nested jails: our end of the socket to the host's init
  int orders = -1;              // nested jails: our end of the socket to the fork that will be made
  std::uint64_t tmp_bytes = 0;  // of the /tmp that is mounted ahead of the order; 0: none yet
  const std::vector<sock_filter>* seccomp = nullptr;           // of jails
  const std::vector<sock_filter>* template_seccomp = nullptr;  // of what may be forked
  // Filled by the order.
  Spec spec;
  bool ahead = false;              // of an environment that nobody asks for yet (poised_program.h)
  std::vector<io::Fd> bind_trees;  // detached mounts, in the order of spec.binds
  std::vector<io::Fd> guest_ends;  // output, [channel], [framed log], [companions' output]
  std::vector<io::Fd> listeners;   // nested jails: made by the jail itself
  std::vector<TreeEntry> tmp;      // nested jails: what the template has in /tmp
  ReadyProcess* ready = nullptr;   // which becomes the program (ready_process.h)
};

// 0, or the errno of what failed; `item` says with which element of a list.
struct Outcome {
  int error = 0;
  int item = -1;
};
// Of a call that answers 0, or -1 and errno.
Outcome of(int result);

// Who takes a step, where there is a ready process: the init; both, it ahead of the order; it ahead
// of the order, and the init some time after; it alone. Without one, all of them are the init's.
enum class Run { init, both, program_ahead, program };

struct Step {
  const char* name;
  Outcome (*run)(Plan&);
  Run by = Run::init;
};

// Where the control socket is kept once the descriptors have their final places.
inline constexpr int report_fd = 5;
// Where the output of companions lies meanwhile.
inline constexpr int companion_fd = 6;
// Where a program that parks finds the socket of its orders (fork_order.h).
inline constexpr int fork_fd = 5;

Outcome close_inherited(Plan& plan);
Outcome join_control_groups(Plan& plan);
Outcome set_oom_score(Plan& plan);
Outcome enter_network(Plan& plan);
Outcome hide_control_groups(Plan& plan);
Outcome mount_proc(Plan& plan);
Outcome mask_proc(Plan& plan);
Outcome pivot(Plan& plan);
Outcome seal_root(Plan& plan);
Outcome new_session(Plan& plan);
Outcome mount_usual_tmp(Plan& plan);  // plan.tmp_bytes large
Outcome receive_order(Plan& plan);
// Reads an order of its own making, so that the first true one runs through code and memory that
// are there.
void rehearse_order();
// One bind's tree in its place; `tree` is detached. Answers 0 or an errno. One that is written to
// stands in a directory of the jail's own (a file system of a function, in /mnt).
int attach_bind(int tree, const Bind& bind);
Outcome attach_binds(Plan& plan);
Outcome mount_tmp(Plan& plan);
Outcome set_host_name(Plan& plan);
Outcome allow_nested_proc(Plan& plan);
Outcome enter_user_namespace(Plan& plan);
Outcome place_descriptors(Plan& plan);
// What lies above the places; all of it is closed by execve(2) as well.
Outcome close_others(Plan& plan);
Outcome set_resource_limits(Plan& plan);
Outcome become_user(Plan& plan);
Outcome drop_capabilities(Plan& plan);
Outcome drop_capabilities_of_init(Plan& plan);  // unless it is a template's
Outcome no_new_privileges(Plan& plan);
Outcome enter_working_directory(Plan& plan);
Outcome filter_system_calls(Plan& plan);

// The options of a /tmp of this size, for mount(2).
std::string tmp_options(std::uint64_t bytes);

}  // namespace mayfly::sandbox
