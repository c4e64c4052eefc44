// The launcher's part in making a parked guest an environment (specialise.h): what only it may do
// to the guest's jail.
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "base/limits.h"
#include "sandbox/jail_steps.h"
#include "sandbox/launcher.h"
#include "sandbox/sys.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {
namespace {

// What a helper that has entered the jail's mounts came to; its memory is the launcher's.
struct Attached {
  volatile int error = 0;
  const char* volatile step = "";
  volatile int item = -1;
};

void attach_here(int mounts, const std::vector<io::Fd>& trees, const std::vector<Bind>& binds,
                 const char* tmp, Attached& out) {
  out.step = "enter the jail's mounts";
  if (::setns(mounts, CLONE_NEWNS) != 0) {
    out.error = errno;
    return;
  }
  out.step = "attach a bind";
  for (std::size_t i = 0; i < trees.size(); ++i) {
    out.error = attach_bind(trees[i].get(), binds[i]);
    out.item = static_cast<int>(i);
    if (out.error != 0) return;
  }
  out.step = "set the size of /tmp";
  out.item = -1;
  if (::mount(nullptr, "/tmp", nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, tmp) != 0) {
    out.error = errno;
  }
}

// What the helper tells, in memory that both processes have.
Attached* shared_result() {
  static void* const memory =
      ::mmap(nullptr, sizeof(Attached), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) Attached;
}

// A process of its own enters the jail: the launcher would have to find back.
Result<> attach_inside(int mounts, const std::vector<io::Fd>& trees, const Spec& spec) {
  auto* result = shared_result();
  if (result == nullptr) return fail_errno("mmap", errno);
  Attached& attached = *result;
  auto tmp = tmp_options(spec.limits.tmp_bytes);
  attached.error = ECHILD;
  attached.step = "start the helper";
  attached.item = -1;
  int pidfd = -1;
  pid_t pid = sys::clone_process({}, pidfd);
  if (pid == 0) {
    attached.error = 0;
    attach_here(mounts, trees, spec.binds, tmp.c_str(), attached);
    ::_exit(0);
  }
  if (pid < 0) return fail_errno("clone the helper", errno);
  io::Fd child(pidfd);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (attached.error == 0) return {};
  std::string what = attached.step;
  auto item = static_cast<std::size_t>(attached.item);
  if (item < spec.binds.size()) what += ": " + spec.binds[item].target;
  return fail_errno(what, attached.error);
}

}  // namespace

void LauncherLoop::specialise(const Request& request, Message& message, io::Fd file) {
  auto found = specialisable_.find(request.parked);
  if (found == specialisable_.end()) {
    return send(
        {request.sequence, Error{ErrorKind::unavailable, "the parked guest has ended", {}}});
  }
  Jail& jail = jails_.at(found->second);
  specialisable_.erase(found);
  jail.specialising = request.sequence;
  auto done = order_specialised(jail, request.spec, message, std::move(file));
  jail.mounts.reset();
  if (done) return;
  on_specialised(jail, done.error());
  end(jail);
}

Result<> LauncherLoop::order_specialised(Jail& jail, const Spec& spec, Message& message,
                                         io::Fd file) {
  if (!jail.mounts)
    return fail(ErrorKind::unavailable, "a parked guest's mounts cannot be entered");
  if (spec.binds.size() > limits::sandbox_binds) {
    return fail(ErrorKind::too_large,
                fmt::format("at most {} binds in a jail", limits::sandbox_binds));
  }
  TRY(set_limits(jail.group, spec.limits));
  jail.memory_bytes = spec.limits.memory_bytes;
  std::vector<io::Fd> trees;
  for (const auto& bind : spec.binds) {
    TRY_ASSIGN(auto tree, open_bind(template_dir_, bind));
    trees.push_back(std::move(tree));
  }
  TRY(attach_inside(jail.mounts.get(), trees, spec));
  std::vector<int> fds;
  if (file) fds.push_back(file.get());
  if (int error = send_message(jail.control.get(), message.bytes, fds); error != 0) {
    return fail_errno("order a parked guest's jail", error);
  }
  return {};
}

void LauncherLoop::on_specialised(Jail& jail, std::optional<Error> error) {
  auto sequence = std::exchange(jail.specialising, 0);
  if (sequence == 0) return;
  if (error) return send({sequence, std::move(*error)});
  send({sequence, Specialised{}});
  unarmed_.push_back(jail.id);
}

void LauncherLoop::forget_parked(Jail& jail) {
  if (jail.parking == Parking::forkable) forget_template(jail);
  if (jail.parking == Parking::specialisable) specialisable_.erase(jail.sequence);
}

}  // namespace mayfly::sandbox
