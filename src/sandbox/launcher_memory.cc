// The launcher's part in memory alarms (memory_alarm.h): it hears them, holds the jail, tells the
// server, and ends what the server has not ended in time.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "sandbox/launcher.h"
#include "sandbox/memory_alarm.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

// Whether the end of this process is the end of its jail: it is the child of its init (`init`) that
// is no companion. Those are the programs of extensions.
bool is_program(int pid, int init) {
  auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid)).value_or("");
  auto end = stat.rfind(')');
  if (end == stat.npos || std::atoi(stat.c_str() + end + 4) != init) return false;
  auto command = sys::read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
  return !command.contains("/opt/extensions/");
}

}  // namespace

// One of those that run without an alarm so far.
void LauncherLoop::arm_one() {
  Jail* jail = find(unarmed_.back());
  unarmed_.pop_back();
  if (jail == nullptr || jail->status || jail->alarm) return;
  auto alarm = arm_memory_alarm(jail->group, jail->memory_bytes);
  if (!alarm.fd) return;
  if (auto watched = watch(alarm.fd.get(), alarm_tag(jail->id), alarm.events); !watched) {
    log::warn("sandbox", "{}", watched.error().message);
    return let_kernel_kill(jail->group, jail->memory_bytes);
  }
  jail->alarm = std::move(alarm.fd);
}

void LauncherLoop::on_alarm(Jail& jail) {
  if (!jail.alarm) return;
  take_memory_alarm(jail.group, jail.alarm);
  if (jail.starved || jail.status || !is_out_of_memory(jail.group, jail.memory_bytes)) return;
  // Of a template, and of what the program has started, the kernel ends one process as ever.
  if (jail.parking == Parking::forkable || !is_program(largest_process(jail.group), jail.pid)) {
    jail.alarm.reset();
    return let_kernel_kill(jail.group, jail.memory_bytes);
  }
  jail.starved = true;
  set_frozen(jail.group, true);  // a system call that failed for it is not to be seen
  send({jail.sequence, Starved{}});
  held_.emplace_back(Clock::now() + memory_hold_time, jail.id);
}

// Milliseconds until the next one has been held long enough; -1: none is.
int LauncherLoop::held_ms() const {
  if (held_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(held_.front().first - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(0, left.count()));
}

void LauncherLoop::end_held() {
  while (!held_.empty() && held_.front().first <= Clock::now()) {
    if (Jail* jail = find(held_.front().second); jail != nullptr) end(*jail);
    held_.pop_front();
  }
}

}  // namespace mayfly::sandbox
