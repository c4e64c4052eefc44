// The read-only root file system that every jail starts from: a small tmpfs in the launcher's own
// mount namespace, with the host's /usr bound read-only, a few devices, and copies of the few
// files of /etc that language runtimes read. Nothing else of the host is in it: no /home, /root,
// /var, /srv, /run, /sys.
//
// Launcher only. Ends with the launcher's mount namespace.
#pragma once

#include <string>

#include "base/result.h"
#include "sandbox/sandbox.h"

namespace mayfly::sandbox {

// Unix identity inside every jail: that of Lambda's sandbox user.
inline constexpr unsigned jail_uid = 993;
inline constexpr unsigned jail_gid = 990;

// A directory that no user of a jail may enter (see allow_nested_proc).
inline constexpr const char* hidden_proc = "/.proc";

// Mounts and fills the template at `dir` (an existing empty directory).
Result<> build_template_root(const std::string& dir);

// Makes `target` (absolute, inside the template) exist as a mount point for `source`. Names made
// here are seen, empty, by later jails too.
Result<> ensure_mount_point(const std::string& dir, const std::string& source,
                            const std::string& target);
// The detached tree for a jail to attach, its mount point made where the template has it (what is
// written to has one of the jail's own: attach_bind).
Result<io::Fd> open_bind(const std::string& dir, const Bind& bind);

}  // namespace mayfly::sandbox
