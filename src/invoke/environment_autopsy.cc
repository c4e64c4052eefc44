// The end of an environment whose call ran out of time or memory: it is looked at before it is
// killed.
#include <csignal>

#include "invoke/environment.h"
#include "invoke/environment_spec.h"
#include "invoke/phase_log.h"

namespace mayfly::invoke {
namespace {

// What was asked for stacks has written them when nothing more came for so long.
constexpr auto quiet_time = std::chrono::milliseconds(25);
// So much processor that a small share of one does not spread the answer over many periods.
constexpr std::uint32_t autopsy_cpu_millis = 1000;

}  // namespace

// Where another event may be on its way into the guest nothing of it may run on: it is looked at
// only if it is held.
bool Environment::begin_autopsy(const Request& request) {
  if (!instance_ || killed_ || doomed_ || dying_ || (sent_ahead_ && !starved_)) return false;
  if (!wants_autopsy(*runnable_, deps_.settings)) return false;
  if (*deps_.autopsies >= deps_.settings.autopsies) return false;
  ++*deps_.autopsies;
  dying_ = true;
  findings_ = std::make_unique<AutopsyFindings>(findings_of(request.event.id.str()));
  return true;
}

// With extensions the Shutdown phase follows, in end().
void Environment::run_out(bool examined) {
  if (!examined || (extensions_ && extensions_->any())) stop("timeout");
}

// The sandbox holds what is out of memory for a moment. Where no call runs, it ends as it would
// have ended by the kernel's hand.
io::Task<void> Environment::watch_memory() {
  if (!co_await instance_->out_of_memory()) co_return;
  if (killed_ || gone_.is_set() || dying_) co_return;
  if (call_done_.is_set()) co_return instance_->kill();
  starved_ = true;
  channel_->cancel();
}

Failure Environment::starve(const Request* request) {
  max_memory_used_mb_ = 0;  // to be read once more
  if (!dying_ && !(request && begin_autopsy(*request))) {
    stats_ = instance_->stats();
    end_starved();
  }
  return exited(sandbox::Exit{.signal = SIGKILL, .out_of_memory = true});
}

// The program is what was short of memory: extensions go on to their Shutdown phase without it.
void Environment::end_starved() {
  if (!extensions_ || extensions_->external().empty()) return kill();
  stop("failure");
  instance_->kill_program();
  instance_->give_room();
}

AutopsyFindings Environment::findings_of(std::string_view request_id) {
  AutopsyFindings out;
  out.request_id = request_id;
  out.tenant_id = runnable_->tenant_id;
  out.limit = std::chrono::seconds(runnable_->timeout_seconds);
  out.memory_mb = runnable_->memory_mb;
  out.growth = growth_;
  out.out_of_memory = starved_;
  if (instance_) out.stats = instance_->stats();
  return out;
}

void Environment::write_autopsy(const AutopsyFindings& findings) {
  if (!runnable_->json_logs) {
    log_.platform(autopsy_text(findings));
  } else if (shows_system_log(*runnable_, "WARN")) {
    log_.platform(autopsy_json(findings, deps_.loop.clock().platform()));
  }
}

io::Task<void> Environment::examine() {
  MonoTime begun = deps_.loop.now();
  Deadline deadline = begun + autopsy_time;
  auto& findings = *findings_;
  log_.begin(findings.request_id, false);
  if (!gone_.is_set() && !killed_) {
    instance_->set_cpu_millis(std::max(autopsy_cpu_millis, cpu_millis(*runnable_)));
    log_.drain();
    log_.capture(&findings.output, autopsy_output_bytes);
    findings.evidence = instance_->evidence();
    // Of what is held the signal is the first thing it comes to.
    if (!sent_ahead_) findings.asked = instance_->ask_for_stacks(findings.evidence);
    if (starved_ && findings.asked > 0) instance_->give_room();
    std::size_t had = 0;
    // An answer ends with a silence; nothing at all is waited for until the time is over.
    while (findings.asked > 0 && !killed_ && deps_.loop.now() < deadline) {
      auto until = std::min(deadline, deps_.loop.now() + quiet_time);
      if (co_await gone_.wait(until) == io::Wake::notified) break;
      log_.drain();
      if (!findings.output.empty() && findings.output.size() == had) break;
      had = findings.output.size();
    }
  }
  if (starved_) end_starved();
  if (!extensions_ || !extensions_->any()) {
    kill();
    co_await gone_.wait();
  }
  log_.drain();
  findings.cut = log_.capture(nullptr, 0);
  write_autopsy(findings);
  log_.end();
  --*deps_.autopsies;
  dying_ = false;
  findings_.reset();
}

}  // namespace mayfly::invoke
