#include "sandbox/jail_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "sandbox/image_root.h"
#include "sandbox/protocol.h"
#include "sandbox/seccomp.h"
#include "sandbox/sys.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {

Outcome of(int result) { return {result == 0 ? 0 : errno}; }

// Of the launcher's descriptors only the plan's stay: another jail's socket held here would hide
// the launcher's end from it.
Outcome close_inherited(Plan& plan) {
  std::vector<int> kept = plan.group_tasks;
  kept.insert(kept.end(), {plan.network, plan.user, plan.null, plan.control, plan.host});
  bool nested = plan.host >= 0;
  if (!nested) kept.insert(kept.end(), {0, 1, 2});
  std::erase(kept, -1);
  std::ranges::sort(kept);
  unsigned from = 0;
  for (int fd : kept) {
    auto at = static_cast<unsigned>(fd);
    if (at > from && ::syscall(SYS_close_range, from, at - 1, 0) != 0) return {errno};
    from = at + 1;
  }
  return of(static_cast<int>(::syscall(SYS_close_range, from, ~0U, 0)));
}

Outcome join_control_groups(Plan& plan) {
  for (int fd : plan.group_tasks) {
    if (::write(fd, "0", 1) != 1) return {errno};
  }
  return {};
}

// When the whole machine is short of memory, jails go before the server and its neighbours.
Outcome set_oom_score(Plan&) {
  io::Fd fd(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), "500", 3) != 3) return {errno};
  return {};
}

Outcome enter_network(Plan& plan) { return of(::setns(plan.network, CLONE_NEWNET)); }

Outcome hide_control_groups(Plan&) { return of(::unshare(CLONE_NEWCGROUP)); }

// The jail has its own pid namespace, so its /proc shows its own processes only.
Outcome mount_proc(Plan&) {
  return of(::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr));
}

// Files of /proc that tell about the whole machine and that no runtime reads.
Outcome mask_proc(Plan&) {
  constexpr std::array names = {"proc/keys",      "proc/key-users",  "proc/interrupts",
                                "proc/diskstats", "proc/partitions", "proc/modules"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (::mount("dev/null", names[i], nullptr, MS_BIND, nullptr) != 0 && errno != ENOENT) {
      return {errno, static_cast<int>(i)};
    }
  }
  return {};
}

Outcome pivot(Plan&) {
  if (sys::pivot_root(".", ".") != 0) return {errno};
  // The old root now lies over the new one at the same place: take it off, with all below it.
  if (::umount2(".", MNT_DETACH) != 0) return {errno};
  return of(::chdir("/"));
}

Outcome seal_root(Plan&) { return {sys::mount_read_only("/")}; }

Outcome new_session(Plan&) { return ::setsid() < 0 ? Outcome{errno} : Outcome{}; }

// Parks until the launcher sends what to run; its end means that nothing is wanted any more.
Outcome receive_order(Plan& plan) {
  Message message;
  int error = receive_message(plan.control, message);
  if (error == EPIPE) ::_exit(0);
  if (error != 0) return {error};
  auto request = decode_request(message);
  if (!request) return {EBADMSG};
  plan.spec = std::move(request->spec);
  plan.ahead = request->what == Request::What::poise;
  auto& fds = message.fds;
  std::size_t trees = plan.spec.binds.size();
  if (fds.size() <= trees) return {EBADMSG};
  auto first_end = fds.begin() + static_cast<std::ptrdiff_t>(trees);
  plan.bind_trees.assign(std::make_move_iterator(fds.begin()), std::make_move_iterator(first_end));
  plan.guest_ends.assign(std::make_move_iterator(first_end), std::make_move_iterator(fds.end()));
  return {};
}

void rehearse_order() {
  Request request;
  request.spec.binds = {{"/", "/", false}};
  request.spec.argv = {"/"};
  request.spec.env.assign(16, std::string(32, '='));
  request.spec.listen_ports.assign(2, 1);
  std::array<int, 2> ends{};
  auto encoded = encode(request);
  if (!encoded || ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  io::Fd here(ends[0]);
  io::Fd there(ends[1]);
  Message message;
  if (send_message(here.get(), encoded->bytes, {}) != 0) return;
  if (receive_message(there.get(), message) == 0) (void)decode_request(message);
}

int attach_bind(int tree, const Bind& bind) {
  if (!bind.writable) return sys::attach_tree(tree, bind.target.c_str());
  struct stat status{};
  bool in_image = ::stat(bind.target.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  if (in_image) return sys::attach_tree(tree, bind.target.c_str());
  // Names made in the template's root would be seen by every jail.
  std::string above = bind.target.substr(0, bind.target.rfind('/'));
  bool made =
      ::mount("mnt", above.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") == 0;
  if (!made || ::mkdir(bind.target.c_str(), 0755) != 0) return errno;
  if (int error = sys::attach_tree(tree, bind.target.c_str()); error != 0) return error;
  return sys::mount_read_only(above.c_str());
}

Outcome attach_binds(Plan& plan) {
  for (std::size_t i = 0; i < plan.bind_trees.size(); ++i) {
    const Bind& bind = plan.spec.binds[i];
    int tree = plan.bind_trees[i].get();
    int error = bind.target == root_target ? enter_image_root(tree) : attach_bind(tree, bind);
    if (error != 0) return {error, static_cast<int>(i)};
  }
  return {};
}

// One inode per 16 KiB, as ext4 counts them, and never fewer than a program with many small files
// needs.
std::string tmp_options(std::uint64_t bytes) {
  std::uint64_t inodes = std::max<std::uint64_t>(16'384, bytes / (16 * limits::kib));
  return fmt::format("size={},nr_inodes={},mode=1777", bytes, inodes);
}

namespace {

Outcome mount_tmp_of(std::uint64_t bytes, unsigned long flags) {
  auto options = tmp_options(bytes);
  return of(::mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | flags, options.c_str()));
}

bool has_root_of_its_own(const Spec& spec) {
  return !spec.binds.empty() && spec.binds.front().target == root_target;
}

}  // namespace

Outcome mount_usual_tmp(Plan& plan) { return mount_tmp_of(plan.tmp_bytes, 0); }

Outcome mount_tmp(Plan& plan) {
  std::uint64_t bytes = plan.spec.limits.tmp_bytes;
  if (plan.tmp_bytes == 0 || has_root_of_its_own(plan.spec)) return mount_tmp_of(bytes, 0);
  return bytes == plan.tmp_bytes ? Outcome{} : mount_tmp_of(bytes, MS_REMOUNT);
}

Outcome set_host_name(Plan& plan) {
  return of(::sethostname(plan.spec.hostname.data(), plan.spec.hostname.size()));
}

// A nested jail mounts a /proc of its own, which the kernel allows only where one is to be seen
// whole. The masked one is not: so a host has another, which the program cannot reach, since nobody
// may enter the directory.
Outcome allow_nested_proc(Plan& plan) {
  if (plan.spec.parking != Parking::forkable) return {};
  return of(::mount("proc", hidden_proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr));
}

namespace {

// Where each of the program's descriptors 0 to 4, and then ours, come from; -1 stays closed.
std::array<int, companion_fd + 1> descriptor_sources(Plan& plan) {
  int output = plan.guest_ends[0].get();
  std::array<int, companion_fd + 1> out{plan.null, output, output, -1, -1, plan.control, -1};
  std::size_t next = 1;
  if (plan.spec.channel) out[3] = plan.guest_ends[next++].get();
  if (plan.spec.framed_log) out[4] = plan.guest_ends[next++].get();
  if (!plan.spec.companions.empty()) out[companion_fd] = plan.guest_ends[next].get();
  return out;
}

}  // namespace

// Moves every descriptor out of the way first, so that no source is overwritten by a target.
Outcome place_descriptors(Plan& plan) {
  constexpr int above = 128;
  auto moved = descriptor_sources(plan);
  for (std::size_t i = 0; i < moved.size(); ++i) {
    if (moved[i] < 0) continue;
    moved[i] = ::fcntl(moved[i], F_DUPFD_CLOEXEC, above);
    if (moved[i] < 0) return {errno, static_cast<int>(i)};
  }
  for (std::size_t i = 0; i < moved.size(); ++i) {
    int target = static_cast<int>(i);
    int flags = target >= report_fd ? O_CLOEXEC : 0;
    if (moved[i] < 0) {
      ::close(target);
    } else if (::dup3(moved[i], target, flags) < 0) {
      return {errno, target};
    }
  }
  for (auto* list : {&plan.bind_trees, &plan.guest_ends}) {
    for (auto& fd : *list) (void)fd.release();  // the numbers now mean other descriptors, or none
  }
  plan.control = report_fd;
  return plan.ready == nullptr ? close_others(plan) : Outcome{};
}

Outcome close_others(Plan&) {
  return of(static_cast<int>(::syscall(SYS_close_range, companion_fd + 1, ~0U, 0)));
}

Outcome set_resource_limits(Plan& plan) {
  struct Row {
    int resource;
    rlim_t value;
  };
  // The limit of processes counts those in user namespaces made below as well: the init of a
  // template has none, so that its environments do not share one; the program gets its own.
  bool forkable = plan.spec.parking == Parking::forkable;
  rlim_t processes = forkable ? RLIM_INFINITY : plan.spec.limits.processes + 1;
  const std::array rows = {
      Row{RLIMIT_NOFILE, plan.spec.limits.files},
      Row{RLIMIT_NPROC, processes},
      Row{RLIMIT_CORE, 0},
      Row{RLIMIT_STACK, 8 << 20},
      Row{RLIMIT_MSGQUEUE, 819'200},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rlimit limit{};
    ::getrlimit(static_cast<__rlimit_resource>(rows[i].resource), &limit);
    rlim_t value = std::min(rows[i].value, limit.rlim_max);
    limit.rlim_cur = limit.rlim_max = value;
    if (::setrlimit(static_cast<__rlimit_resource>(rows[i].resource), &limit) != 0) {
      return {errno, static_cast<int>(i)};
    }
  }
  return {};
}

Outcome enter_user_namespace(Plan& plan) { return of(::setns(plan.user, CLONE_NEWUSER)); }

Outcome become_user(Plan&) {
  // Refused in a user namespace made without privilege: the caller's own groups then stay.
  if (::setgroups(0, nullptr) != 0 && errno != EPERM) return {errno};
  if (::setresgid(jail_gid, jail_gid, jail_gid) != 0) return {errno};
  // The raw calls: glibc's would signal threads that do not exist.
  if (::syscall(SYS_setresuid, jail_uid, jail_uid, jail_uid) != 0) return {errno};
  // A launcher that dies takes its jails with it; a change of identity clears that.
  return of(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
}

Outcome drop_capabilities_of_init(Plan& plan) {
  return plan.spec.parking == Parking::forkable ? Outcome{} : drop_capabilities(plan);
}

// PR_SET_KEEPCAPS was never set, but entering a user namespace gave a full set, which a change
// from one unprivileged id to another keeps.
Outcome drop_capabilities(Plan&) {
  for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
    if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) return {errno, cap};
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  return of(static_cast<int>(::syscall(SYS_capset, &header, none.data())));
}

Outcome no_new_privileges(Plan& plan) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return {errno};
  // Init holds a copy of the launcher's memory: nobody may look into it. The init of a template is
  // guarded by its capabilities, and must own its children's files in /proc to map their users.
  int dumpable = plan.spec.parking == Parking::forkable ? 1 : 0;
  return of(::prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0));
}

Outcome enter_working_directory(Plan& plan) { return of(::chdir(plan.spec.cwd.c_str())); }

// A program that parks loads a filter of its own; its init traces, and a template's makes
// namespaces.
Outcome filter_system_calls(Plan& plan) {
  return {plan.spec.parking == Parking::none ? load_seccomp(*plan.seccomp) : 0};
}

}  // namespace mayfly::sandbox
