// Several calls at one time in one environment, as Lambda Managed Instances have it (developer
// guide, "Understanding the Lambda Managed Instances execution environment"): each call has its own
// lines, its own report and its own timeout, which ends nothing in the guest. What ends with the
// environment, its processes, are all calls in it.
#include "invoke/environment.h"
#include "invoke/environment_spec.h"
#include "invoke/phase_log.h"

namespace mayfly::invoke {
namespace {

// The accounts of a jail with several calls belong to none of them: they are read for the memory
// alone, from time to time.
constexpr auto measure_every = std::chrono::milliseconds(250);

// Of a guest of several processes: the one that ran this call has ended, the others go on. Its
// payload is the message.
constexpr std::string_view exit_error = "Runtime.ExitError";

// Beyond the timeout of ordinary functions only who does not wait for the answer runs.
Duration call_limit(const Runnable& runnable, const Request& request) {
  int seconds = runnable.timeout_seconds;
  if (request.type != InvocationType::event)
    seconds = std::min(seconds, limits::timeout_max_seconds);
  return std::chrono::seconds(seconds);
}

void fail_outcome(const Failure& failure, std::string_view request_id, Verdict& verdict) {
  auto& outcome = verdict.outcome;
  outcome.kind = events::Outcome::Kind::function_error;
  outcome.error_class = "Unhandled";
  outcome.error_type = failure.error_type;
  outcome.payload = render(failure, request_id);
  verdict.kind = failure.outcome;
}

}  // namespace

// What the guest has of a call: it may outlive the call's wait.
struct Environment::SharedCall {
  explicit SharedCall(io::Loop& loop) : done(loop) {}
  guest::InvokeRequest wire;
  io::Event done;
  std::optional<Result<guest::InvokeReply>> reply;
  bool left = false;  // its caller has been told that it ran out of time
};

io::Task<void> Environment::run_shared(std::shared_ptr<SharedCall> call) {
  if (in_guest_++ == 0) call_done_.reset();
  call->reply = co_await channel_->invoke(call->wire, no_deadline);
  if (--in_guest_ == 0) call_done_.set();
  call->done.set();
  if (!call->left) co_return;
  --late_;
  // Its processes may have ended while nothing but such calls was in it.
  bool over = in_guest_ == 0 && gone_.is_set() && !killed_;
  if (auto tell = over ? on_idle_exit : on_place_free) tell();
}

io::Task<std::optional<Failure>> Environment::call_shared(const Request& request, MonoTime begun,
                                                          Verdict& verdict, Report& report) {
  Duration limit = call_limit(*runnable_, request);
  Deadline deadline = begun + limit;
  auto call = std::make_shared<SharedCall>(deps_.loop);
  put_on_wire(request, call->wire);
  call->wire.deadline_epoch_ms = epoch_millis(deps_.loop.clock().wall() + limit);  // just begun
  if (hears()) wire_.trace_header = call->wire.trace_header;
  unread_ = Drain::all;
  watchers_.spawn(run_shared(call));
  if (co_await call->done.wait(deadline) != io::Wake::notified) {
    call->left = true;
    // With nothing but such calls in it, the environment would never take another one.
    if (++late_ >= runnable_->max_concurrency) stop("timeout");
    co_return timed_out(limit);
  }
  auto& reply = *call->reply;
  if (reply) {
    if (channel_ && channel_->answer_was_told()) unread_ = Drain::told;
    if (reply->is_error && reply->error_type == exit_error) {
      co_return Failure{.error_type = std::move(reply->error_type),
                        .message = std::move(reply->payload),
                        .payload = {}};
    }
    take_reply(request, *std::move(reply), verdict);
    co_return std::nullopt;
  }
  if (starved_) co_return starve(&request);
  if (reply.error().kind != ErrorKind::too_large) {
    auto cause = co_await find_cause();
    stop("failure");
    co_return cause;
  }
  refuse_reply(reply.error(), verdict, report);
  co_return std::nullopt;
}

void Environment::measure_shared(Verdict& verdict, MonoTime now) {
  if (instance_ && !killed_ && (max_memory_used_mb_ == 0 || now - measured_at_ >= measure_every)) {
    measured_at_ = now;
    stats_ = instance_->stats();
    note_memory();
  }
  verdict.max_memory_used_mb = max_memory_used_mb_;
}

io::Task<Verdict> Environment::invoke_shared(const Request& request) {
  const std::string& id = request.event.id.str();
  MonoTime begun = deps_.loop.now();
  ++calls_;
  Verdict verdict;
  verdict.outcome.executed_version = runnable_->version;
  verdict.init_duration = std::exchange(init_duration_, std::nullopt);
  Report report;
  report.request_id = id;
  log_.open(id, request.want_log_tail);
  log_.speak_of(id);
  write_start(request);
  log_.speak_of({});

  // An Init that failed is not tried again for a call, since others wait for it: the next one gets
  // a new environment.
  std::optional<Failure> failure = broken_ ? init_failure_ : std::nullopt;
  if (!broken_) failure = co_await call_shared(request, begun, verdict, report);
  MonoTime ended = deps_.loop.now();
  report.duration = verdict.duration = ended - begun;
  log_.drain(failure ? Drain::all : unread_);
  log_.speak_of(id);
  if (failure) {
    fail_outcome(*failure, id, verdict);
    tell_failure(*failure, id, report);
  }
  verdict.usage.bytes_in = request.event.payload.size();
  verdict.usage.bytes_out = answer_bytes(request, verdict.outcome);
  tell_runtime_done(request, verdict, report);
  measure_shared(verdict, ended);
  report.usage = verdict.usage;
  report.init_duration = verdict.init_duration;
  write_end(report);
  log_.speak_of({});
  verdict.outcome.log_tail = log_.close_request(id);
  co_return verdict;
}

}  // namespace mayfly::invoke
