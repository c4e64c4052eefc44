// Thin names for the system calls the jail needs and glibc does not wrap.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/fd.h"

namespace mayfly::sandbox::sys {

struct CloneArgs {
  std::uint64_t flags = 0;
  int into_cgroup = -1;  // descriptor of a cgroup v2 directory, or -1
};
// clone3 with the meaning of fork(2): 0 in the child, its pid in the parent, -1 and errno.
// `pidfd` receives a descriptor of the child. The caller must be single-threaded.
pid_t clone_process(const CloneArgs& args, int& pidfd);

int pidfd_send_signal(int pidfd, int number);
// A detached, recursive copy of the mount tree at `path`, nosuid and nodev.
enum class Access : std::uint8_t { read_only, writable };
Result<io::Fd> open_tree(const std::string& path, Access access);
// The same of the mounts at `path` as they are, for another place of one jail. 0 or an errno.
int copy_tree_of(const char* path, io::Fd& tree);
// Attaches a detached tree at `target`, resolved with the current directory as its root.
// Answers 0 or an errno.
int attach_tree(int tree, const char* target);
int mount_read_only(const char* path);  // one mount, not its children; 0 or an errno
int pivot_root(const char* new_root, const char* put_old);

// Whole small files (procfs, cgroupfs).
Result<std::string> read_file(const std::string& path);
Result<> write_file(const std::string& path, std::string_view text);

}  // namespace mayfly::sandbox::sys
