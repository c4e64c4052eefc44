// The init of a template's jail: hosts the jails of its forks, which lie below it, since a process
// can only enter pid and user namespaces below its own.
//
// It clones nested jails for the launcher, and forks the template into each when the jail is ready
// for it. It ends when the template has ended and the last nested jail is gone: environments
// outlive their template. SIGTERM ends the template alone.
//
// Messages on the control socket, launcher → init: "make a nested jail".
//
//   0   4   kind: 1
//   4   4   the nested jail's user and group id, as numbered in this jail's user namespace
//   8   8   size of its /tmp
//   descriptors: its control socket · what to join each of its control groups by
//
// Messages on the socket between a nested jail and its host:
//
//   host → nested    1 byte: its user is mapped
//   nested → host    ForkAsk: it may be looked into
//   host → nested    1 byte: that is over                  nested → host    1 byte: it is closed
//   host → nested    ForkAnswer
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "io/fd.h"
#include "sandbox/jail_steps.h"

namespace mayfly::sandbox {

struct NestedOrder {
  std::uint32_t kind = 1;
  std::uint32_t user = 0;
  std::uint64_t tmp_bytes = 0;
};
static_assert(sizeof(NestedOrder) == 16);

inline constexpr std::size_t nested_groups_max = 8;

// Numbers of the nested init's descriptors: JailToEnter.
struct ForkAsk {
  std::int32_t orders = -1;
  std::int32_t groups[nested_groups_max] = {};
  std::int32_t group_count = 0;
};
struct ForkAnswer {
  std::int32_t error = 0;  // errno
  char step[60] = {};
};
static_assert(sizeof(ForkAnswer) == 64);

[[noreturn]] void serve_as_host(Plan& plan, pid_t program, io::Fd fork_socket);

}  // namespace mayfly::sandbox
