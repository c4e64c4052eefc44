// The launcher's part in memory alarms (memory_alarm.h): it hears them, holds the jail, tells the
// server, and ends what the server has not ended in time. What waits for the kernel it has done by
// its helper (memory_helper.h).
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "base/log.h"
#include "sandbox/launcher.h"
#include "sandbox/memory_alarm.h"
#include "sandbox/sys.h"

namespace mayfly::sandbox {
namespace {

using Clock = std::chrono::steady_clock;
using What = MemoryOrder::What;

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

void LauncherLoop::start_memory_helper() {
  auto started = memory_helper_.start();
  if (started) started = watch(memory_helper_.fd(), helper_tag);
  if (!started) log::error("sandbox", "no memory alarms: {}", started.error().message);
}

// One of those that run without an alarm so far. In a template it would be of no use: the kernel
// ends one process of it as ever.
void LauncherLoop::arm_one() {
  Jail* jail = find(unarmed_.back());
  unarmed_.pop_back();
  if (jail == nullptr || jail->status || jail->alarm || jail->memory_bytes == 0) return;
  if (jail->parking == Parking::forkable) return;
  if (jail->group.memory.version == 1) {
    if (!memory_helper_.runs()) return;
    jail->arming = io::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (jail->arming) ask_memory_helper(What::arm, *jail);
    return;
  }
  auto alarm = arm_memory_alarm(jail->group, jail->memory_bytes);
  if (!alarm) return;
  if (auto watched = watch(alarm.get(), alarm_tag(jail->id), EPOLLPRI); !watched) {
    log::warn("sandbox", "{}", watched.error().message);
    return let_kernel_kill(jail->group, jail->memory_bytes);
  }
  jail->alarm = std::move(alarm);
}

void LauncherLoop::ask_memory_helper(What what, Jail& jail) {
  if (!memory_helper_.runs()) return on_memory_answer({what, jail.id, false, true});
  memory_helper_.ask({what, jail.id, jail.memory_bytes, jail.group.memory.dir},
                     what == What::arm ? jail.arming.get() : -1);
}

void LauncherLoop::on_memory_helper() {
  auto answer = memory_helper_.take();
  if (!answer) return;
  if (answer->lost) {
    log::error("sandbox", "the helper for memory groups has ended; another one is started");
    start_memory_helper();
  }
  if (leaving_ && leaving_->id == answer->jail) {
    Jail left = std::move(*leaving_);
    leaving_.reset();
    release(left);
  }
  on_memory_answer(*answer);
}

void LauncherLoop::on_memory_answer(const MemoryAnswer& answer) {
  Jail* jail = find(answer.jail);
  if (jail == nullptr || jail->starved) return;
  if (answer.what == What::arm) return on_armed(*jail, answer);
  if (jail->status) return;
  if (answer.what == What::squeeze && answer.done) return look_at_memory(*jail);
  if (answer.what == What::squeeze && answer.lost) return ask_memory_helper(What::lower, *jail);
  if (answer.done) return;
  // It does not fit under the limit.
  if (answer.what == What::kill || answer.lost) {
    jail->killed_in = true;
    return end(*jail);
  }
  run_out_of_memory(*jail);
}

void LauncherLoop::on_armed(Jail& jail, const MemoryAnswer& answer) {
  auto alarm = std::move(jail.arming);
  if (jail.status) return;
  bool watched = answer.done && watch(alarm.get(), alarm_tag(jail.id));
  // The limit may have been raised already.
  if (!watched && (answer.done || answer.lost)) return ask_memory_helper(What::lower, jail);
  if (!watched) return;
  jail.alarm = std::move(alarm);
  look_at_memory(jail);  // what was at the limit before is not told of
}

void LauncherLoop::on_alarm(Jail& jail) {
  if (!jail.alarm) return;
  take_memory_alarm(jail.group, jail.alarm);
  look_at_memory(jail);
}

void LauncherLoop::look_at_memory(Jail& jail) {
  if (jail.starved || jail.status || !jail.alarm) return;
  if (is_out_of_memory(jail.group, jail.memory_bytes)) return run_out_of_memory(jail);
  // Files. On v2 the kernel drops some by itself.
  if (jail.group.memory.version != 1 || memory_helper_.has_order_of(jail.id)) return;
  if (memory_use(jail.group).bytes < jail.memory_bytes) return;
  if (jail.squeezes++ < memory_squeezes) return ask_memory_helper(What::squeeze, jail);
  jail.alarm.reset();
  ask_memory_helper(What::lower, jail);
}

void LauncherLoop::run_out_of_memory(Jail& jail) {
  // Of what the program has started, one process ends as ever.
  if (!is_program(largest_process(jail.group), jail.pid)) {
    jail.alarm.reset();
    jail.killed_in = true;
    if (jail.group.memory.version == 1) return ask_memory_helper(What::kill, jail);
    return let_kernel_kill(jail.group, jail.memory_bytes);
  }
  jail.starved = true;
  set_frozen(jail.group, true);
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
