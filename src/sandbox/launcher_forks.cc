// The launcher's part in forks: nested jails, which a template's init makes for it (fork_host.h).
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>

#include "base/limits.h"
#include "base/log.h"
#include "sandbox/fork_host.h"
#include "sandbox/launcher.h"
#include "sandbox/namespaces.h"
#include "sandbox/sys.h"
#include "sandbox/template_root.h"

namespace mayfly::sandbox {
namespace {

// The process a pidfd is of, as the caller numbers it; -1 when it is gone.
pid_t pid_of(int pidfd) {
  auto text = sys::read_file(fmt::format("/proc/self/fdinfo/{}", pidfd));
  if (!text) return -1;
  constexpr std::string_view label = "\nPid:\t";
  auto at = text->find(label);
  if (at == text->npos) return -1;
  pid_t pid = -1;
  const char* from = text->data() + at + label.size();
  std::from_chars(from, text->data() + text->size(), pid);
  return pid;
}

// What writes itself there joins; on v2 as on v1.
std::vector<io::Fd> open_tasks(JoinDescriptors join) {
  std::vector<io::Fd> out = std::move(join.tasks);
  if (!join.unified) return out;
  io::Fd procs(::openat(join.unified.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
  if (procs) out.push_back(std::move(procs));
  return out;
}

}  // namespace

Result<LauncherLoop::Jail*> LauncherLoop::make_nested(Jail& host) {
  Jail jail;
  jail.id = ++next_id_;
  jail.host = host.id;
  TRY_ASSIGN(auto ends, make_control_ends());
  jail.control = std::move(ends.ours);
  auto slot = nested_slots_.take();
  if (!slot) return fail(ErrorKind::throttled, "all users for forks are taken");
  jail.slot = *slot;
  auto group = make_control_group(groups_, std::to_string(jail.id));
  auto join = group ? open_to_join(*group) : std::unexpected(group.error());
  if (!join) {
    give_back_slot(jail);
    return std::unexpected(join.error());
  }
  jail.group = std::move(*group);
  jail.limits = host.limits;
  if (auto done = set_limits(jail.group, jail.limits); !done) {
    release(jail);
    return std::unexpected(done.error());
  }
  NestedOrder order;
  order.user = is_root_ ? nested_uid_inside + jail.slot : jail_uid;
  order.tmp_bytes = host.limits.tmp_bytes;
  auto tasks = open_tasks(std::move(*join));
  std::vector<int> fds{ends.theirs.get()};
  for (const auto& fd : tasks) fds.push_back(fd.get());
  std::string_view bytes(reinterpret_cast<const char*>(&order), sizeof order);
  if (int error = send_message(host.control.get(), bytes, fds); error != 0) {
    release(jail);
    return fail_errno("ask a template's jail for a nested one", error);
  }
  Jail& kept = jails_.emplace(jail.id, std::move(jail)).first->second;
  TRY(watch(kept.control.get(), control_tag(kept.id)));
  return &kept;
}

void LauncherLoop::make_nested_spare() {
  Jail* host = find(*in_want_.begin());
  auto made = make_nested(*host);
  if (made) {
    host->parked.push_back((*made)->id);
  } else {
    // Its jail ends at this moment, or the machine has no room: forks make theirs on demand then.
    log::debug("sandbox", "{}", made.error().message);
    host->keep_ready = 0;
  }
  note_want(*host);
}

Result<LauncherLoop::Jail*> LauncherLoop::take_nested(std::uint64_t host_sequence) {
  auto found = templates_.find(host_sequence);
  if (found == templates_.end()) return fail(ErrorKind::unavailable, "the template has ended");
  Jail& host = jails_.at(found->second);
  if (host.parked.empty()) return make_nested(host);
  Id id = host.parked.front();
  host.parked.erase(host.parked.begin());
  note_want(host);
  return &jails_.at(id);
}

void LauncherLoop::on_parked(Jail& jail, io::Fd pidfd) {
  jail.pidfd = std::move(pidfd);
  jail.pid = pid_of(jail.pidfd.get());
  if (auto watched = watch(jail.pidfd.get(), pidfd_tag(jail.id)); !watched) {
    log::error("sandbox", "{}", watched.error().message);
  }
  if (ending_) end(jail);
}

void LauncherLoop::keep_ready(std::uint64_t sequence, std::uint64_t jails) {
  auto found = templates_.find(sequence);
  if (found == templates_.end()) return;
  Jail& host = jails_.at(found->second);
  host.keep_ready = jails;
  note_want(host);
}

void LauncherLoop::note_want(const Jail& host) {
  if (templates_.contains(host.sequence) && host.parked.size() < host.keep_ready) {
    in_want_.insert(host.id);
  } else {
    in_want_.erase(host.id);
  }
}

void LauncherLoop::forget_template(Jail& host) {
  templates_.erase(host.sequence);
  in_want_.erase(host.id);
  host.keep_ready = 0;
  for (Id id : std::exchange(host.parked, {})) {
    if (Jail* jail = find(id); jail != nullptr) end(*jail);
  }
}

}  // namespace mayfly::sandbox
