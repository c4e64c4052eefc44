#include "invoke/template.h"

#include <csignal>

#include "invoke/phase_log.h"

namespace mayfly::invoke {
namespace {

// Jails that wait for forks: one for the next cold start, one while that is being made.
constexpr unsigned jails_ready = 2;
constexpr auto exit_wait = std::chrono::seconds(1);

}  // namespace

Template::Template(const Deps& deps, LogBuffer& buffer, TemplateKind kind,
                   std::shared_ptr<const Runnable> runnable, sandbox::RuntimeChoice runtime)
    : deps_(deps),
      kind_(kind),
      runnable_(std::move(runnable)),
      runtime_(std::move(runtime)),
      watchers_(deps.loop),
      gone_(deps.loop) {
  if (kind_ == TemplateKind::function) {
    log_.emplace(deps.loop, deps.observer, buffer, identity_of(deps, *runnable_));
  }
}

// The init that is shared with every environment has a log stream of its own; only SnapStart has
// lines of the platform around it.
io::Task<Result<>> Template::park(Deadline deadline) {
  if (!log_ || !runnable_->snap_start) co_return co_await launch_and_wait(deadline);
  const auto& clock = deps_.loop.clock();
  write_phase_start(*log_, *runnable_, runtime_, Phase::init, clock.platform());
  MonoTime begun = deps_.loop.now();
  auto parked = co_await launch_and_wait(deadline);
  if (parked || init_failure_) {
    write_init_report(*log_, *runnable_, deps_.loop.now() - begun, "init",
                      init_failure_ ? &*init_failure_ : nullptr, clock.platform());
  }
  co_return parked;
}

// The guest's channel ends a moment before its processes.
io::Task<Failure> Template::find_cause(const Error& error) {
  if (error.kind == ErrorKind::timeout) {
    kill();
    co_return timed_out(init_limit(*runnable_));
  }
  if (co_await gone_.wait(deps_.loop.now() + exit_wait) != io::Wake::notified) kill();
  co_await gone_.wait();
  co_return exited(exit_);
}

io::Task<Result<>> Template::launch_and_wait(Deadline deadline) {
  InstanceId id(deps_.random.hex(16));
  auto spec = kind_ == TemplateKind::generic
                  ? generic_template_spec(*runtime_.pack, runnable_->memory_mb, id)
                  : template_spec(*runnable_, *runtime_.pack, deps_.credentials(*runnable_),
                                  log_->identity().stream, id);
  CO_TRY_ASSIGN(instance_, co_await deps_.launcher.launch(std::move(spec)));
  if (log_) {
    log_->attach(instance_->take_output(), instance_->take_framed_log());
  } else {
    output_ = instance_->take_output();
    framed_ = instance_->take_framed_log();
  }
  auto listeners = instance_->take_listeners();
  if (!listeners.empty()) endpoint_ = deps_.serve_endpoint(std::move(listeners[0]), id);
  if (listeners.size() > 1) {
    extensions_ = std::make_unique<guest::ExtensionApi>(
        deps_.loop, deps_.random,
        guest::ExtensionApi::Function{.name = runnable_->name.str(),
                                      .version = runnable_->version,
                                      .handler = runnable_->handler,
                                      .account = runnable_->scope.account.str()},
        [](const guest::Extension&, guest::TelemetryForm, std::string_view) {
          return guest::SubscribeAnswer{};  // who asks has registered: this guest serves nobody
        });
    extensions_->listen(std::move(listeners[1]));
  }
  channel_ = deps_.open_channel({.socket = instance_->take_channel()});
  watchers_.spawn(watch());
  if (retired_) kill();
  auto reply = co_await channel_->wait_init(deadline);
  if (log_) log_->drain();
  if (!reply) {
    if (runnable_->snap_start && !retired_) init_failure_ = co_await find_cause(reply.error());
    co_return std::unexpected(std::move(reply).error());
  }
  if (extensions_ && extensions_->any()) {
    co_return fail(ErrorKind::conflict, "an internal extension has registered");
  }
  if (!reply->parked) {
    init_failure_ = init_failed(std::move(reply->error_type), std::move(reply->error_payload));
    co_return fail(ErrorKind::unavailable, "its init fails");
  }
  if (!reply->parked->empty()) co_return fail(ErrorKind::conflict, *reply->parked);
  memory_bytes_ = instance_->stats().memory_bytes;
  deps_.launcher.keep_ready(*instance_, jails_ready);
  parked_ = !retired_;
  watchers_.spawn(watch_guest());
  co_return Result<>{};
}

io::Task<void> Template::watch() {
  if (auto exit = co_await instance_->exited(no_deadline)) exit_ = *exit;
  parked_ = false;
  gone_.set();
  channel_->cancel();
}

// A parked guest says nothing more: its channel only ends, with the guest.
io::Task<void> Template::watch_guest() {
  co_await channel_->wait_init(no_deadline);
  parked_ = false;
}

Result<std::unique_ptr<sandbox::Instance>> Template::fork(const Runnable& runnable,
                                                          std::string_view log_stream,
                                                          InstanceId id) {
  auto spec = forked_spec(kind_, runnable, *runtime_.pack, deps_.credentials(runnable), log_stream,
                          std::move(id));
  return deps_.launcher.fork(*instance_, std::move(spec));
}

void Template::tell(std::string_view text) {
  if (!log_) return;
  log_->platform(remark(text, runnable_->json_logs, deps_.loop.clock().platform()));
}

void Template::retire() {
  parked_ = false;
  if (std::exchange(retired_, true) || !instance_) return;
  instance_->signal(SIGTERM);
}

void Template::kill() {
  parked_ = false;
  retired_ = true;
  if (instance_) instance_->kill();
}

io::Task<void> Template::end() {
  if (!instance_) co_return;
  co_await gone_.wait();
  co_await watchers_.drain(no_deadline);
  if (log_) co_await log_->close();
  if (endpoint_) deps_.end_endpoint(*endpoint_);
  endpoint_.reset();
  channel_.reset();
  instance_.reset();
}

}  // namespace mayfly::invoke
