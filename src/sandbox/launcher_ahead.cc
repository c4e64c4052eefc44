// The launcher's part in jails that are made ahead of demand, with the settings of the last one.
#include <sched.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/log.h"
#include "sandbox/jail.h"
#include "sandbox/launcher.h"
#include "sandbox/namespaces.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {

bool LauncherLoop::spare_wanted() {
  if (!usable_ || ending_ || starting_ > 0 || jails_.size() >= limits::sandbox_jails) return false;
  return jails_wanted() || !in_want_.empty() || program_to_poise() != nullptr;
}

bool LauncherLoop::jails_wanted() const {
  return parking_works_ && parked_.size() < limits::sandbox_spares;
}

void LauncherLoop::make_spare() {
  if (!in_want_.empty()) return make_nested_spare();
  if (auto* program = program_to_poise(); program != nullptr && !jails_wanted()) {
    return make_poised(*program);
  }
  if (auto made = make_parked(); made) {
    parked_.push_back((*made)->id);
  } else {
    log::warn("sandbox", "{}", made.error().message);
    turn(-1);
  }
}

Result<LauncherLoop::Jail*> LauncherLoop::make_parked() {
  Jail jail;
  jail.id = ++next_id_;
  TRY_ASSIGN(jail.network, make_network_namespace(own_network_.get()));
  TRY_ASSIGN(auto ends, make_control_ends());
  jail.control = std::move(ends.ours);
  TRY_ASSIGN(jail.slot, take_slot());
  auto group = make_control_group(groups_, std::to_string(jail.id));
  auto join = group ? open_to_join(*group) : std::unexpected(group.error());
  if (!join) {
    give_back_slot(jail);
    return std::unexpected(join.error());
  }
  jail.group = std::move(*group);
  jail.limits = usual_limits_;
  auto done = set_limits(jail.group, jail.limits);
  if (done) done = listen_in(jail, usual_ports_);
  if (!done) {
    release(jail);
    return std::unexpected(done.error());
  }
  Plan plan;
  plan.tmp_bytes = jail.limits.tmp_bytes;
  for (const auto& fd : join->tasks) plan.group_tasks.push_back(fd.get());
  plan.network = jail.network.get();
  plan.user = users_.of(jail.slot);
  plan.null = null_.get();
  plan.control = ends.theirs.get();
  plan.seccomp = &seccomp_;
  plan.template_seccomp = &forkable_seccomp_;
  int pidfd = -1;
  sys::CloneArgs args{.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
                      .into_cgroup = join->unified.get()};
  jail.pid = sys::clone_process(args, pidfd);
  if (jail.pid == 0) run_jail(std::move(plan));
  if (jail.pid < 0) {
    int error = errno;
    release(jail);
    return fail_errno("clone into new namespaces", error);
  }
  touch_heap();
  jail.pidfd = io::Fd(pidfd);
  Jail& kept = jails_.emplace(jail.id, std::move(jail)).first->second;
  TRY(watch(kept.control.get(), control_tag(kept.id)));
  TRY(watch(kept.pidfd.get(), pidfd_tag(kept.id)));
  return &kept;
}

// The one parked longest: it is the most likely to have come to the end of its first steps.
Result<LauncherLoop::Jail*> LauncherLoop::take_parked() {
  if (parked_.empty()) return make_parked();
  Id id = parked_.front();
  parked_.erase(parked_.begin());
  return &jails_.at(id);
}

// Unless they are there.
Result<> LauncherLoop::listen_in(Jail& jail, const Ports& ports) const {
  if (jail.ports == ports) return {};
  // Before others take the same ports. The jail's first process may not have closed its copies yet.
  for (const auto& listener : jail.listeners) ::shutdown(listener.get(), SHUT_RDWR);
  jail.listeners.clear();
  jail.ports = ports;
  TRY_ASSIGN(jail.listeners,
             listen_inside(jail.network.get(), own_network_.get(), ports.listening, ports.others));
  return {};
}

}  // namespace mayfly::sandbox
