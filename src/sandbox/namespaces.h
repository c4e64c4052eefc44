// Namespaces that the launcher makes ahead of a jail, because making them is slow or needs rights
// the jail's first process gives up: user namespaces (one per slot, used again by later jails of
// the slot) and network namespaces (never used again).
//
// Launcher only: these calls move the calling, single-threaded process between namespaces.
#pragma once

#include <cstdint>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "io/fd.h"

namespace mayfly::sandbox {

// Jails of one launcher at a time have different outer user ids: uid_base + slot. The range lies
// above what system tools hand out to containers (below 1 879 048 192) and below 2^31.
inline constexpr unsigned uid_base = 1'900'000'000;

// Users of nested jails (fork_host.h): a range of their own outside, the same in every jail's user
// namespace. Only the capable there can use it, which a template's init is and programs are not.
inline constexpr unsigned nested_uid_base = uid_base + limits::sandbox_jails;
inline constexpr unsigned nested_uid_inside = 100'000;

// A user namespace that maps jail_uid/jail_gid to `outer_uid`/`outer_gid`, the range of nested
// jails when asked for, and nothing else.
enum class NestedUsers { mapped, none };
Result<io::Fd> make_user_namespace(unsigned outer_uid, unsigned outer_gid, NestedUsers nested);

// In the caller's network namespace. Listening sockets are on 127.0.0.1, non-blocking.
Result<> set_loopback_up();
Result<io::Fd> listen_on_loopback(std::uint16_t port);
// Not connected, non-blocking.
Result<io::Fd> make_socket();

// When the launcher is not root: enters a user namespace in which it is. In both cases: mounts of
// its own, and a network namespace of its own, to which it may return (the host's it could not
// enter again without privilege). Afterwards both can mount and make namespaces.
Result<> enter_launcher_namespaces();

// A new network namespace with loopback up. `own` is the launcher's, to return to.
Result<io::Fd> make_network_namespace(int own);
// Listening sockets on 127.0.0.1 inside `network`, non-blocking, and so many unconnected ones.
Result<std::vector<io::Fd>> listen_inside(int network, int own,
                                          const std::vector<std::uint16_t>& ports,
                                          std::uint16_t sockets);

}  // namespace mayfly::sandbox
