#include "invoke/environment.h"

#include "base/log.h"
#include "invoke/environment_spec.h"
#include "invoke/phase_log.h"
#include "invoke/telemetry_text.h"

namespace mayfly::invoke {
namespace {

// The guest's channel ends a moment before or after its processes: time for the other to be seen.
constexpr auto exit_grace = std::chrono::milliseconds(20);
constexpr auto exit_wait = std::chrono::seconds(1);

std::string new_trace_header(const Deps& deps) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(deps.loop.clock().platform());
  // Two draws, each as short as identifiers are: those come from memory.
  return fmt::format("Root=1-{:08x}-{};Parent={};Sampled=0", seconds.time_since_epoch().count(),
                     deps.random.hex(12), deps.random.hex(8));
}

}  // namespace

std::uint64_t Environment::answer_bytes(const Request& request, const events::Outcome& outcome) {
  if (!request.stream) return outcome.payload.size();
  return request.stream->flow.taken() + request.stream->flow.waiting();
}

Environment::Environment(const Deps& deps, LogBuffer& buffer,
                         std::shared_ptr<const Runnable> runnable, sandbox::RuntimeChoice runtime)
    : deps_(deps),
      runnable_(std::move(runnable)),
      runtime_(std::move(runtime)),
      log_(deps.loop, deps.observer, buffer, identity_of(deps, *runnable_)),
      watchers_(deps.loop),
      gone_(deps.loop),
      call_done_(deps.loop) {}

io::Task<Result<>> Environment::start() {
  if (restores()) co_return co_await restore();
  const auto& clock = deps_.loop.clock();
  write_phase_start(log_, *runnable_, runtime_, Phase::init, clock.platform());
  MonoTime begun = deps_.loop.now();
  CO_TRY_ASSIGN(auto failure, co_await boot(begun + init_limit(*runnable_)));
  Duration took = deps_.loop.now() - begun;
  if (!failure) {
    init_duration_ = took;
    tell_init_report(took - hooks_took_.value_or(Duration::zero()), Status::success, "");
    tell_restore();
    co_return Result<>{};
  }
  tell_init_report(took, failure->status, failure->error_type);
  write_init_report(log_, *runnable_, took, "init", &*failure, clock.platform());
  if (auto refused = restore_error(*runnable_, *failure)) {
    co_await end();
    co_return std::unexpected(std::move(*refused));
  }
  init_failure_ = std::move(failure);
  broken_ = true;
  stop(init_failure_->status == Status::timeout ? "timeout" : "failure");
  co_await end();
  co_return Result<>{};
}

io::Task<Result<std::unique_ptr<sandbox::Instance>>> Environment::launch(InstanceId id) {
  if (origin_) co_return origin_->fork(*runnable_, log_.identity().stream, std::move(id));
  auto spec = environment_spec(*runnable_, *runtime_.pack, deps_.credentials(*runnable_),
                               log_.identity().stream, std::move(id));
  co_return co_await deps_.launcher.launch(std::move(spec));
}

// A fork may answer on its channel before the launcher does.
io::Task<void> Environment::serve_endpoint_of_fork(InstanceId id) {
  if (!co_await instance_->launched()) co_return;
  auto listeners = instance_->take_listeners();
  if (!listeners.empty()) endpoint_ = deps_.serve_endpoint(std::move(listeners[0]), std::move(id));
  serve_extensions(listeners);
}

// Before the guest has its order, what goes wrong is not the function's: it starts from nothing.
io::Task<Result<std::optional<Failure>>> Environment::boot_from_booted(Deadline deadline) {
  auto guest = std::move(booted_);
  instance_ = std::move(guest->instance);
  channel_ = std::move(guest->channel);
  std::vector<io::Fd> listeners = instance_->take_listeners();
  open_extensions();
  take_up(listeners, InstanceId(deps_.random.hex(16)));
  call_done_.reset();
  attach_extensions();
  serve_extensions(listeners);
  watchers_.spawn(watch());
  watchers_.spawn(watch_memory());
  auto taken = co_await deps_.launcher.specialise(
      *instance_, specialised_spec(*runnable_, *runtime_.pack, deps_.credentials(*runnable_),
                                   log_.identity().stream));
  if (taken) co_return co_await await_ready(deadline);
  log::info("invoke", "{} starts from nothing: {}", runnable_->name.str(), taken.error().message);
  ++*guest->failures;
  call_done_.set();
  co_await end();
  co_return co_await boot_once(deadline);
}

io::Task<Result<std::optional<Failure>>> Environment::boot(Deadline deadline) {
  if (booted_) co_return co_await boot_from_booted(deadline);
  if (origin_ && !origin_->parked()) origin_.reset();
  auto failure = co_await boot_once(deadline);
  if (!origin_) co_return failure;
  // Was there a fork at all? If not, the environment starts by itself.
  std::string problem;
  if (!failure) {
    problem = failure.error().message;
  } else if (*failure) {
    if (auto forked = co_await instance_->launched(); !forked) problem = forked.error().message;
  }
  if (problem.empty()) co_return failure;
  log::info("invoke", "{} starts by itself: {}", runnable_->name.str(), problem);
  co_await end();
  origin_.reset();
  co_return co_await boot_once(deadline);
}

io::Task<Result<std::optional<Failure>>> Environment::boot_once(Deadline deadline) {
  if (auto wrong = read_web()) co_return wrong;
  InstanceId id(deps_.random.hex(16));
  auto launched = co_await launch(id);
  if (!launched && launched.error().reason == sandbox::program_not_started) {
    co_return invalid_entrypoint(entry_program(*runnable_, *runtime_.pack), launched.error());
  }
  if (!launched && runnable_->image &&
      launched.error().reason == sandbox::working_directory_refused) {
    co_return invalid_working_directory(runnable_->image->working_dir, launched.error());
  }
  CO_TRY_ASSIGN(instance_, std::move(launched));
  std::vector<io::Fd> listeners;
  if (!origin_) listeners = instance_->take_listeners();
  open_extensions();
  take_up(listeners, id);
  channel_ = open_channel(listeners);
  call_done_.reset();
  attach_extensions();
  if (origin_) {
    watchers_.spawn(serve_endpoint_of_fork(id));
  } else {
    serve_extensions(listeners);
    if (!instance_->has_accounts_at_hand()) watchers_.spawn(find_accounts());
  }
  watchers_.spawn(watch());
  watchers_.spawn(watch_memory());
  co_return co_await await_ready(deadline);
}

// The instance is a new one.
void Environment::take_up(std::vector<io::Fd>& listeners, const InstanceId& id) {
  name_ = id;
  killed_ = frozen_ = starved_ = false;
  stop_reason_.reset();
  gone_.reset();
  if (doomed_) kill();
  if (shares()) log_.share();
  log_.attach(instance_->take_output(), instance_->take_framed_log(),
              instance_->take_companion_output());
  if (!listeners.empty()) endpoint_ = deps_.serve_endpoint(std::move(listeners[0]), id);
}

io::Task<Result<std::optional<Failure>>> Environment::await_ready(Deadline deadline) {
  if (shares()) channel_->share(runnable_->max_concurrency);
  if (runnable_->unbound) channel_->set_bounds(guest::unbound_answers);
  auto reply = co_await init_guest(deadline);
  call_done_.set();
  log_.drain();
  if (extensions_) extensions_->end_init();
  if (reply && reply->ok) {
    watchers_.spawn(settle());
    co_return std::nullopt;
  }
  if (starved_) co_return starve(booting_for_);
  if (reply) co_return init_failed(std::move(reply->error_type), std::move(reply->error_payload));
  if (reply.error().kind == ErrorKind::timeout) {
    run_out(booting_for_ && begin_autopsy(*booting_for_));
    co_return timed_out(init_limit(*runnable_));
  }
  co_return co_await find_cause();
}

io::Task<void> Environment::watch() {
  auto exit = co_await instance_->exited(no_deadline);
  if (exit) exit_ = *exit;
  gone_.set();
  if (extensions_) extensions_->jail_gone();
  co_await unable();
}

io::Task<void> Environment::unable() {
  if (!call_done_.is_set()) {
    // The answer may lie in the channel still; but a channel that listens on a port has no end.
    co_await call_done_.wait(deps_.loop.now() + exit_grace);
    if (!call_done_.is_set()) channel_->cancel();
  } else if (!killed_ && on_idle_exit) {
    auto tell = on_idle_exit;  // its owner may replace it meanwhile
    tell();
  }
}

io::Task<Failure> Environment::find_cause() {
  if (extensions_) {
    if (auto cause = co_await extensions_->cause(deps_.loop.now() + exit_wait)) co_return *cause;
  }
  if (co_await gone_.wait(deps_.loop.now() + exit_wait) != io::Wake::notified) {
    kill();
    co_await gone_.wait();
    co_return exited(sandbox::Exit{.code = 0});
  }
  co_return exited(exit_);
}

void Environment::kill() {
  if (!instance_ || killed_) return;
  killed_ = true;
  instance_->kill();
}

void Environment::doom() {
  doomed_ = true;
  kill();
}

void Environment::freeze() {
  if (frozen_ || !reusable() || shares()) return;  // what shares is never at rest, as in the cloud
  instance_->freeze();
  frozen_ = true;
}

void Environment::thaw() {
  if (!frozen_) return;
  instance_->thaw();
  frozen_ = false;
}

io::Task<void> Environment::end() {
  if (!instance_) co_return;
  if (dying_) co_await examine();
  thaw();
  if (extensions_ && !killed_ && !gone_.is_set()) {
    co_await extensions_->shut_down(stop_reason_.value_or("spindown"));
  }
  kill();
  co_await gone_.wait();
  co_await watchers_.drain(no_deadline);
  if (extensions_) co_await extensions_->close();
  co_await log_.close();
  if (endpoint_) deps_.end_endpoint(*endpoint_);
  endpoint_.reset();
  channel_.reset();
  extensions_.reset();
  instance_.reset();
}

io::Task<std::optional<Failure>> Environment::boot_in_invoke(const Request& request,
                                                             Deadline deadline, Duration limit) {
  MonoTime begun = deps_.loop.now();
  booting_for_ = &request;
  auto booted = co_await boot(deadline);
  booting_for_ = nullptr;
  std::optional<Failure> failure;
  if (!booted) {
    failure = platform_failed(booted.error().message);
  } else {
    failure = std::move(*booted);
  }
  if (!failure) {
    tell_init_report(deps_.loop.now() - begun, Status::success, "");
    broken_ = false;
    co_return std::nullopt;
  }
  if (failure->status == Status::timeout) failure = timed_out(limit);
  tell_init_report(deps_.loop.now() - begun, failure->status, failure->error_type);
  write_init_report(log_, *runnable_, deps_.loop.now() - begun, "invoke", &*failure,
                    deps_.loop.clock().platform());
  if (!dying_) stop(failure->status == Status::timeout ? "timeout" : "failure");
  co_return failure;
}

void Environment::put_on_wire(const Request& request, guest::InvokeRequest& wire) {
  const auto& event = request.event;
  wire.request_id = event.id.str();
  wire.payload = event.payload;
  wire.invoked_function_arn = request.invoked_arn;
  wire.trace_header = event.trace_header.empty() ? new_trace_header(deps_) : event.trace_header;
  wire.client_context = event.client_context;
  wire.tenant_id = runnable_->tenant_id;
  wire.stream = request.stream;
}

std::uint32_t Environment::send_ahead(const Request& request) {
  put_on_wire(request, wire_ahead_);
  wire_ahead_.limit = std::chrono::seconds(runnable_->timeout_seconds);
  sent_ahead_ = true;
  return channel_->send_ahead(wire_ahead_);
}

io::Task<Result<guest::InvokeReply>> Environment::exchange(const Request& request,
                                                           Deadline deadline) {
  put_on_wire(request, wire_);
  auto wall_deadline = deps_.loop.clock().wall() + (deadline - deps_.loop.now());
  wire_.deadline_epoch_ms = epoch_millis(wall_deadline);
  if (extensions_) extensions_->invoke(wire_);
  return channel_->invoke(wire_, deadline);
}

io::Task<std::optional<Failure>> Environment::call(const Request& request, Deadline deadline,
                                                   Duration limit, Verdict& verdict,
                                                   Report& report) {
  if (!meter_.begun()) watchers_.spawn(settle());
  call_done_.reset();
  bool holds = request.effects && deps_.effects != nullptr;
  if (holds) deps_.effects->open(name_, request.effects);
  bool ahead = number_ != 0;
  auto reply =
      co_await (ahead ? channel_->take_up(number_, deadline) : exchange(request, deadline));
  if (ahead && !reply && reply.error().kind == ErrorKind::conflict) {
    number_ = 0;
    reply = co_await exchange(request, deadline);
  }
  if (holds) deps_.effects->close(name_);
  call_done_.set();
  busy_ = reply ? reply->busy : std::nullopt;
  unread_ = Drain::all;
  if (reply) {
    if (reply->output == guest::Output::read) unread_ = Drain::nothing;
    bool told = reply->output == guest::Output::unknown && channel_->answer_was_told();
    if (told) unread_ = Drain::told;
    take_reply(request, *std::move(reply), verdict);
    co_return std::nullopt;
  }
  if (reply.error().kind == ErrorKind::too_large) {
    refuse_reply(reply.error(), verdict, report);
    co_return std::nullopt;
  }
  if (starved_) co_return starve(&request);
  if (reply.error().kind == ErrorKind::timeout) {
    bool examined = begin_autopsy(request);
    if (!examined) stats_ = instance_->stats();
    run_out(examined);
    co_return timed_out(limit);
  }
  co_return co_await find_cause();
}

void Environment::take_reply(const Request& request, guest::InvokeReply reply, Verdict& verdict) {
  auto& outcome = verdict.outcome;
  if (!reply.content_type.empty()) outcome.content_type = std::move(reply.content_type);
  outcome.payload = std::move(reply.payload);
  outcome.streamed = reply.streamed;
  if (reply.is_error) {
    outcome.kind = events::Outcome::Kind::function_error;
    outcome.error_class = "Unhandled";
    outcome.error_type = std::move(reply.error_type);
    verdict.kind = InvocationOutcome::function_error;
  } else if (request.stream && !request.stream->begun) {
    request.stream->begin(outcome.content_type);
    request.stream->flow.push(std::exchange(outcome.payload, {}));
  }
}

void Environment::refuse_reply(const Error& error, Verdict& verdict, Report& report) {
  auto& outcome = verdict.outcome;
  outcome.kind = events::Outcome::Kind::function_error;
  outcome.error_class = "Unhandled";
  outcome.error_type = "Function.ResponseSizeTooLarge";
  outcome.payload = too_large_payload(error.message);
  verdict.kind = InvocationOutcome::function_error;
  report.status = Status::error;
  report.error_type = "Function.ResponseSizeTooLarge";
}

void Environment::begin(const Request& request) { begin(request, 0, deps_.loop.now()); }

void Environment::begin(const Request& request, std::uint32_t number, MonoTime now) {
  thaw();
  if (number == 0) sent_ahead_ = false;
  ++calls_;
  begun_ = true;
  begun_at_ = now;
  number_ = number;
  log_.begin(request.event.id.str(), request.want_log_tail);
  write_start(request);
}

io::Task<Verdict> Environment::invoke(const Request& request) {
  if (shares()) co_return co_await invoke_shared(request);
  if (!std::exchange(begun_, false)) begin(request);
  begun_ = false;
  Verdict verdict;
  verdict.outcome.executed_version = runnable_->version;
  verdict.init_duration = std::exchange(init_duration_, std::nullopt);
  verdict.restore_duration = std::exchange(restore_duration_, std::nullopt);
  Duration limit = std::chrono::seconds(runnable_->timeout_seconds);
  Deadline deadline = begun_at_ + limit;
  Report report;
  report.request_id = request.event.id.str();

  std::optional<Failure> failure;
  if (broken_) failure = co_await boot_in_invoke(request, deadline, limit);
  if (!failure) failure = co_await call(request, deadline, limit, verdict, report);
  verdict.duration = deps_.loop.now() - begun_at_;
  // The answer to an event ahead may have been there before the one before it was looked at.
  if (std::exchange(number_, 0) != 0 && busy_)
    verdict.duration = std::max(verdict.duration, *busy_);
  log_.drain(failure ? Drain::all : unread_);
  if (failure) {
    auto& outcome = verdict.outcome;
    outcome.kind = events::Outcome::Kind::function_error;
    outcome.error_class = "Unhandled";
    outcome.error_type = failure->error_type;
    outcome.payload = render(*failure, request.event.id.str());
    verdict.kind = failure->outcome;
    fail_call(*failure, report.request_id, report);
  }
  verdict.usage.bytes_in = request.event.payload.size();
  verdict.usage.bytes_out = answer_bytes(request, verdict.outcome);
  tell_runtime_done(request, verdict, report);
  if (!failure && extensions_ && extensions_->at_work()) {
    pending_.emplace(request.event.id.str(), report, deadline);
    verdict.outcome.log_tail = log_.take_tail();
    co_return verdict;
  }
  end_call(verdict, report);
  verdict.outcome.log_tail = log_.end();
  co_return verdict;
}

const sandbox::Stats* Environment::measure(Duration spent, MonoTime now) {
  if (!instance_) return nullptr;
  if (!killed_ || stats_.memory_peak_bytes == 0) {
    if (max_memory_used_mb_ > 0 && !meter_.due(spent, now)) return nullptr;
    stats_ = instance_->stats();
  }
  note_memory();
  return &stats_;
}

// What it has in common with other environments.
std::uint64_t Environment::shared_memory_bytes() const {
  return origin_ ? origin_->memory_bytes() : 0;
}

void Environment::note_memory() {
  auto used = stats_.memory_peak_bytes;
  if (!stats_.by_processes) used += shared_memory_bytes();
  int used_mb = static_cast<int>((used + limits::mib - 1) / limits::mib);
  max_memory_used_mb_ = std::max(max_memory_used_mb_, std::min(used_mb, runnable_->memory_mb));
  growth_.note(calls_, max_memory_used_mb_);
}

std::optional<std::uint64_t> Environment::own_memory_bytes() const {
  if (stats_.memory_bytes == 0) return std::nullopt;
  std::uint64_t shared = stats_.by_processes ? shared_memory_bytes() : 0;
  return stats_.memory_bytes - std::min(stats_.memory_bytes, shared);
}

void Environment::write_start(const Request& request) {
  const auto& id = request.event.id.str();
  if (hears()) {
    extensions_->tell(start_event(id, runnable_->version, request.event.trace_header,
                                  deps_.loop.clock().platform(), runnable_->tenant_id));
  }
  if (!runnable_->json_logs) {
    log_.platform(start_line(id, runnable_->version), deps_.loop.clock().platform());
  } else if (shows_system_log(*runnable_, "INFO")) {
    log_.platform(start_event(id, runnable_->version, {}, deps_.loop.clock().platform(),
                              runnable_->tenant_id));
  }
}

void Environment::write_end(Report& report) {
  report.memory_mb = runnable_->memory_mb;
  report.max_memory_used_mb = max_memory_used_mb_;
  report.tenant_id = runnable_->tenant_id;
  WallTime now = deps_.loop.clock().platform();
  if (hears()) {
    extensions_->tell(end_logs_event(report.request_id, now), EventForm::logs);
    extensions_->tell(report_json(report, now), EventForm::telemetry);
    extensions_->tell(report_logs_event(report, now), EventForm::logs);
  }
  if (!runnable_->json_logs) {
    log_.platform(end_line(report.request_id), now);
    log_.platform(report_line(report), now);
  } else if (shows_system_log(*runnable_, report.status == Status::success ? "INFO" : "WARN")) {
    log_.platform(report_json(report, now), now);
  }
}

}  // namespace mayfly::invoke
