// What Environment does for its extensions, and what a call comes to where they take part.
#include <algorithm>

#include "invoke/environment.h"
#include "invoke/phase_log.h"
#include "invoke/telemetry_text.h"

namespace mayfly::invoke {
namespace {

constexpr auto quick_answer = std::chrono::milliseconds(1);

}  // namespace

// Before anything of the jail is read. What is forked from a function's template has its Init
// behind it.
void Environment::open_extensions() {
  if (origin_ && origin_->kind() == TemplateKind::function) return;
  extensions_ = std::make_unique<EnvironmentExtensions>(deps_, *runnable_, log_);
  tell_init_start();
  if (!runtime_.pack->forks || extensions_->external().empty()) return;
  constexpr std::string_view text =
      "Environments of this version start one by one: it has external extensions";
  log_.platform(remark(text, runnable_->json_logs, deps_.loop.clock().platform()));
}

void Environment::attach_extensions() {
  if (!extensions_) return;
  extensions_->attach(*instance_, *channel_);
  watchers_.spawn(watch_extensions());
}

// The Runtime API's port, where the channel does not serve it, and sockets to reach the jail by.
void Environment::serve_extensions(std::vector<io::Fd>& listeners) {
  if (!extensions_ || listeners.size() < 2) return;
  std::vector<io::Fd> sockets(std::make_move_iterator(listeners.begin() + 2),
                              std::make_move_iterator(listeners.end()));
  extensions_->serve(std::move(listeners[1]), std::move(sockets));
}

io::Task<Result<guest::InitReply>> Environment::init_guest(Deadline deadline) {
  if (extensions_) CO_TRY(co_await extensions_->start(deadline));
  CO_TRY_ASSIGN(auto reply, co_await channel_->wait_init(deadline));
  hooks_took_ = runnable_->snap_start ? reply.restored : std::nullopt;
  Status status = reply.ok ? Status::success : Status::error;
  if (bool shown = shows_done(*runnable_, status); shown || hears()) {
    WallTime done = deps_.loop.clock().platform() - hooks_took_.value_or(Duration::zero());
    auto event = init_runtime_done_event(runnable_->initialization_type(), init_phase(), status,
                                         reply.error_type, done);
    if (shown) log_.platform(event);
    if (hears()) extensions_->tell(std::move(event), EventForm::telemetry);
  }
  if (extensions_ && reply.ok) CO_TRY(co_await extensions_->initialise(deadline));
  co_return reply;
}

// The program, or an extension, may end while the jail lasts.
io::Task<void> Environment::watch_extensions() {
  co_await extensions_->wait_broken();
  if (gone_.is_set()) co_return;
  if (call_done_.is_set()) stop("failure");
  co_await unable();
}

// No further call; what there is of extensions has its time in end().
void Environment::stop(std::string_view reason) {
  if (!extensions_ || !extensions_->any()) return kill();
  if (!stop_reason_) stop_reason_ = reason;
}

void Environment::tell_failure(const Failure& failure, std::string_view request_id,
                               Report& report) {
  WallTime now = deps_.loop.clock().platform();
  report.status = failure.status;
  report.error_type = failure.error_type;
  auto text = log_line(failure, request_id, now);
  if (!text.empty() && !runnable_->json_logs) log_.platform(text);
  if (!text.empty() && hears()) extensions_->tell(fault_logs_event(text, now), EventForm::logs);
}

void Environment::fail_call(const Failure& failure, std::string_view request_id, Report& report) {
  tell_failure(failure, request_id, report);
  // Whatever is left of the tree ends with its main process; nothing of it is used again.
  if (!dying_) stop(failure.status == Status::timeout ? "timeout" : "failure");
}

// verdict.usage holds the bytes already.
void Environment::end_call(Verdict& verdict, Report& report) {
  // Not by the clock alone: where others have the processor, every call would count as a long one.
  Duration spent = verdict.duration;
  if (busy_ && !verdict.extensions) spent = std::min(spent, *busy_);
  MonoTime now = deps_.loop.now();
  const auto* stats = measure(spent, now);
  verdict.max_memory_used_mb = max_memory_used_mb_;
  Usage usage = meter_.charge(verdict.duration, busy_, stats, now);
  usage.bytes_in = verdict.usage.bytes_in;
  usage.bytes_out = verdict.usage.bytes_out;
  verdict.usage = usage;
  report.usage = usage;
  report.duration = verdict.duration;
  report.init_duration = verdict.init_duration;
  report.restore_duration = verdict.restore_duration;
  write_end(report);
  if (verdict.kind != InvocationOutcome::out_of_memory || dying_) return;
  if (!wants_autopsy(*runnable_, deps_.settings)) return;
  auto findings = findings_of(report.request_id);
  findings.out_of_memory = true;
  write_autopsy(findings);
}

io::Task<void> Environment::finish(Verdict& verdict) {
  auto idle = co_await extensions_->wait_idle(pending_->deadline);
  Report& report = pending_->report;
  report.request_id = pending_->request_id;
  Duration answered = std::exchange(verdict.duration, deps_.loop.now() - begun_at_);
  verdict.extensions = verdict.duration - answered;
  std::optional<Failure> failure;  // its error type is shown by the report
  if (!idle && idle.error().kind == ErrorKind::timeout) {
    failure = timed_out(std::chrono::seconds(runnable_->timeout_seconds));
  } else if (!idle) {
    failure = co_await find_cause();
  }
  log_.drain();
  if (failure) {
    verdict.kind = failure->outcome;
    fail_call(*failure, pending_->request_id, report);
  }
  end_call(verdict, report);
  log_.end();
  pending_.reset();
}

void Environment::tell_runtime_done(const Request& request, const Verdict& verdict,
                                    const Report& report) {
  bool shown = shows_done(*runnable_, report.status);
  if (!shown && !hears()) return;
  WallTime now = deps_.loop.clock().platform();
  RuntimeDone done{.request_id = report.request_id,
                   .trace_header = wire_.trace_header,
                   .status = report.status,
                   .error_type = report.error_type,
                   .duration = verdict.duration,
                   .started = now - verdict.duration,
                   .produced_bytes = {}};
  if (!request.stream) done.produced_bytes = verdict.outcome.payload.size();
  auto event = runtime_done_event(done, now);
  if (shown) log_.platform(event);
  if (!hears()) return;
  extensions_->tell(std::move(event), EventForm::telemetry);
  extensions_->tell(runtime_done_logs_event(done, now), EventForm::logs_runtime_done);
}

void Environment::tell_init_report(Duration took, Status status, std::string_view error_type) {
  // That of one that failed is written in any form of log.
  bool shown = status == Status::success && shows_good_init(*runnable_);
  if (!shown && !hears()) return;
  auto event = init_report_json(runnable_->initialization_type(), took, init_phase(), status,
                                error_type, deps_.loop.clock().platform());
  if (shown) log_.platform(event);
  if (hears()) extensions_->tell(std::move(event), EventForm::telemetry);
}

// An environment with extensions is not a fork of its version's snapshot: what it has of a restore
// are the hooks that it ran itself.
void Environment::tell_restore() {
  if (!hooks_took_ || !hears()) return;
  WallTime now = deps_.loop.clock().platform();
  auto start = phase_start(log_, *runnable_, runtime_, "init");
  extensions_->tell(restore_start_event(start, now - *hooks_took_), EventForm::telemetry);
  extensions_->tell(restore_runtime_done_event(Status::success, "", now), EventForm::telemetry);
  extensions_->tell(restore_report_json(*hooks_took_, Status::success, "", now),
                    EventForm::telemetry);
}

void Environment::tell_init_start() {
  if (!hears()) return;
  auto start = phase_start(log_, *runnable_, runtime_, init_phase());
  extensions_->tell(init_start_event(start, deps_.loop.clock().platform()), EventForm::telemetry);
}

// The first look for a file costs most of its reading: what settle() reads is looked for while a
// program starts that had to be executed, and nothing else is to be done.
io::Task<void> Environment::find_accounts() {
  co_await deps_.loop.turn_end();
  if (!killed_ && !gone_.is_set()) (void)instance_->stats();
}

// What follows on an init or precedes a call, but need not hold up the event: that is sent first.
io::Task<void> Environment::settle() {
  if (std::exchange(settling_, true)) co_return;
  co_await deps_.loop.turn_end();
  settling_ = false;
  if (killed_ || gone_.is_set()) co_return;
  stats_ = instance_->stats();
  meter_.begin(stats_, deps_.loop.now());
  if (meter_.begun()) note_memory();
  watchers_.spawn(limit_processor(name_));
}

// The processor share of calls takes the place of the init's. An answer that is there in a moment
// does not wait for that either.
io::Task<void> Environment::limit_processor(InstanceId instance) {
  if (!call_done_.is_set()) {
    co_await call_done_.wait(deps_.loop.now() + quick_answer);
    co_await deps_.loop.turn_end();
    co_await deps_.loop.turn_end();
  }
  if (killed_ || gone_.is_set() || name_ != instance) co_return;
  instance_->set_cpu_millis(cpu_millis(*runnable_));
}

}  // namespace mayfly::invoke
