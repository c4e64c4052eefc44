#include "invoke/invoker.h"

#include "invoke/admission.h"
#include "invoke/async_queue.h"
#include "invoke/pool.h"

namespace mayfly::invoke {

void StreamedCall::finish(Result<events::Outcome> outcome) {
  if (outcome && outcome->kind == events::Outcome::Kind::ok) {
    answer.flow.end();
  } else {
    answer.flow.break_off(outcome ? Error{ErrorKind::unavailable, "the function failed", {}}
                                  : outcome.error());
  }
  result = std::move(outcome);
  ended.set();
  answer.head.set();
}

Result<std::shared_ptr<const Runnable>> for_tenant(const Runnable& runnable,
                                                   const std::string& tenant_id) {
  if (tenant_id.empty()) {
    return fail(ErrorKind::invalid,
                runnable.name.str() + " isolates tenants, and the event names none");
  }
  auto out = std::make_shared<Runnable>(runnable);
  out->tenant_id = tenant_id;
  out->tenant_key = fmt::format("{}/tenant/{}", runnable.pool_key, tenant_id);
  return out;
}

namespace {

// The parts and the way of one invocation through them; see invoker.h.
class PooledInvoker final : public Invoker {
 public:
  explicit PooledInvoker(Deps deps)
      : deps_(std::move(deps)),
        admission_(deps_.loop.clock(), deps_.settings),
        pool_(deps_),
        breakers_(deps_.loop),
        queue_(deps_,
               [this](std::shared_ptr<const Runnable> runnable, Request request) {
                 return invoke(std::move(runnable), std::move(request));
               }),
        idle_(deps_.loop),
        lingering_(deps_.loop),
        abandoned_(deps_.loop) {}

  Result<> load() { return queue_.load(); }

  using Invoker::invoke;
  io::Task<Result<events::Outcome>> invoke(std::shared_ptr<const Runnable> runnable,
                                           Request request) override;
  std::shared_ptr<StreamedCall> invoke_streaming(std::shared_ptr<const Runnable> runnable,
                                                 Request request) override;
  io::Task<Result<>> enqueue(AsyncEvent event) override {
    if (closing_) co_return fail(ErrorKind::unavailable, "the server is stopping");
    CO_TRY(admission_.request(event.scope));
    if (event.event.id.empty()) event.event.id = RequestId(deps_.random.uuid4());
    co_return co_await queue_.enqueue(std::move(event));
  }
  void set_resolver(Resolver resolver) override { resolver_ = std::move(resolver); }
  void control_flow(const Scope& scope, const FunctionName& name,
                    std::optional<FunctionFlow> flow) override {
    queue_.control_flow(async_lane(scope, name), std::move(flow));
  }
  void start() override { queue_.start(resolver_); }
  void retire(std::string_view concurrency_key, std::string_view keep_pool_key) override {
    pool_.retire(concurrency_key, keep_pool_key);
  }
  void reserve(const Scope& scope, int total) override { admission_.reserve(scope, total); }
  int running(std::string_view concurrency_key) const override {
    return admission_.running(concurrency_key);
  }
  bool breaker_lets(std::string_view concurrency_key) const override {
    return breakers_.lets(concurrency_key);
  }
  void on_breaker(std::function<void(const std::string&)> call) override {
    breakers_.on_change(std::move(call));
  }
  void provision(std::shared_ptr<const Runnable> runnable) override {
    if (!closing_) pool_.provision(runnable);
  }
  Provision provision_of(std::string_view pool_key) const override {
    return pool_.provision_of(pool_key);
  }
  std::shared_ptr<SnapshotCall> snapshot(std::shared_ptr<const Runnable> runnable) override {
    auto call = std::make_shared<SnapshotCall>(deps_.loop);
    pool_.snapshot(std::move(runnable), call);
    return call;
  }
  void forget(std::string_view pool_key) override { pool_.forget(pool_key); }
  Totals totals() const override {
    return {.environments = static_cast<int>(pool_.environments()),
            .busy = admission_.running(),
            .queued_events = queue_.size(),
            .waiting = pool_.waiting(),
            .templates = pool_.templates().made(),
            .booted_guests = pool_.templates().booted(),
            .templates_waiting = pool_.templates().waiting(),
            .open_breakers = breakers_.open()};
  }
  io::Task<void> close(Deadline deadline) override;

 private:
  struct Pending {
    explicit Pending(io::Loop& loop) : done(loop) {}
    io::Event done;
    std::optional<Result<events::Outcome>> result;
  };
  io::Task<Result<events::Outcome>> run(std::shared_ptr<const Runnable> runnable, Request request);
  io::Task<Result<events::Outcome>> run_within(std::shared_ptr<const Runnable> runnable,
                                               Request request);
  io::Task<void> run_into(std::shared_ptr<Pending> pending,
                          std::shared_ptr<const Runnable> runnable, Request request);
  io::Task<void> run_streaming(std::shared_ptr<StreamedCall> call,
                               std::shared_ptr<const Runnable> runnable, Request request);
  void report(const Runnable& runnable, const Request& request, const Verdict& verdict,
              MonoTime begun);
  void leave(const Runnable& runnable, const Admission::Ticket& ticket);
  io::Task<void> linger(Lease environment, std::shared_ptr<const Runnable> runnable,
                        Request request, Verdict verdict, Admission::Ticket ticket, MonoTime begun);

  Deps deps_;
  Admission admission_;
  Pool pool_;
  gate::Breakers breakers_;
  AsyncQueue queue_;
  Resolver resolver_;
  bool closing_ = false;
  bool killing_ = false;
  io::ParkingLot idle_;      // woken when the last running invocation ends
  io::TaskScope lingering_;  // calls that were answered and that extensions still work for
  io::TaskScope abandoned_;  // invocations whose caller may leave before they end
};

void PooledInvoker::report(const Runnable& runnable, const Request& request, const Verdict& verdict,
                           MonoTime begun) {
  Duration total = deps_.loop.now() - begun;
  Duration restore = verdict.restore_duration.value_or(Duration::zero());
  Duration init = verdict.init_duration.value_or(restore);
  deps_.observer.invocation(
      {.scope = runnable.scope,
       .function_arn = runnable.function_arn,
       .function = runnable.name.str(),
       .version = runnable.version,
       .request_id = request.event.id.str(),
       .outcome = verdict.kind,
       .type = request.type,
       .duration = verdict.duration,
       .init_duration = verdict.init_duration,
       .extensions = verdict.extensions,
       .overhead = std::max(Duration::zero(), total - verdict.duration - init),
       .memory_mb = runnable.memory_mb,
       .max_memory_used_mb = verdict.max_memory_used_mb,
       .cpu = verdict.usage.cpu,
       .page_faults = verdict.usage.page_faults,
       .bytes_in = verdict.usage.bytes_in,
       .bytes_out = verdict.usage.bytes_out});
}

void PooledInvoker::leave(const Runnable& runnable, const Admission::Ticket& ticket) {
  admission_.leave(runnable, ticket);
  if (admission_.running() == 0) idle_.wake_all();
}

// One call that a breaker counts, from begin() to end().
class Counted {
 public:
  Counted(gate::Breakers& breakers, const Runnable& runnable)
      : breakers_(breakers), key_(runnable.concurrency_key), settings_(runnable.breaker) {}
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { breakers_.end(key_, *settings_, how_); }
  void note(InvocationOutcome outcome) {
    using enum InvocationOutcome;
    switch (outcome) {
      case success: how_ = gate::Breakers::End::success; return;
      case function_error:
      case timeout:
      case out_of_memory:
      case crash:
      case init_error: how_ = gate::Breakers::End::failure; return;
      case throttled:
      case cancelled:
      case platform_error: return;
    }
  }

 private:
  gate::Breakers& breakers_;
  std::string key_;
  std::shared_ptr<const gate::BreakerSettings> settings_;
  gate::Breakers::End how_ = gate::Breakers::End::neither;
};

io::Task<Result<events::Outcome>> PooledInvoker::run(std::shared_ptr<const Runnable> runnable,
                                                     Request request) {
  MonoTime begun = deps_.loop.now();
  if (runnable->per_tenant) {
    CO_TRY_ASSIGN(runnable, for_tenant(*runnable, request.event.tenant_id));
  }
  std::optional<Counted> counted;
  if (runnable->breaker) {
    CO_TRY(breakers_.begin(runnable->concurrency_key, *runnable->breaker));
    counted.emplace(breakers_, *runnable);
  }
  Verdict verdict;
  auto ticket = admission_.enter(*runnable, request.type);
  if (!ticket) {
    verdict.kind = InvocationOutcome::throttled;
    report(*runnable, request, verdict, begun);
    co_return std::unexpected(std::move(ticket).error());
  }
  Lease environment = pool_.take_idle(*runnable);
  bool cold = !environment && !pool_.shares(*runnable);
  // A function grows by a spare as by a start.
  bool grows = cold || (environment && environment->spare);
  if (auto grown = grows ? admission_.grow(*runnable) : Result<>(); !grown) {
    if (environment) pool_.put_back(std::move(environment));
    verdict.kind = InvocationOutcome::throttled;
    report(*runnable, request, verdict, begun);
    leave(*runnable, *ticket);
    co_return std::unexpected(std::move(grown).error());
  }
  if (environment) environment->spare = false;
  if (!request.caller.empty()) pool_.note_hop(request.caller, runnable);
  deps_.observer.invocation_started(
      {.scope = runnable->scope, .function = runnable->name.str(), .cold = cold});
  std::optional<Error> error;
  if (!environment) {
    auto leased = co_await pool_.wait(runnable, request);
    if (leased) {
      environment = std::move(*leased);
    } else {
      error = std::move(leased).error();
    }
  }
  if (environment) {
    verdict = co_await environment->invoke(request);
    if (counted && !killing_) counted->note(verdict.kind);
    if (environment->lingers()) {
      auto outcome = std::exchange(verdict.outcome, {});
      request.event.payload.clear();
      lingering_.spawn(linger(std::move(environment), std::move(runnable), std::move(request),
                              std::move(verdict), *ticket, begun));
      co_return outcome;
    }
    pool_.give_back(std::move(environment));
    if (killing_ && verdict.kind == InvocationOutcome::crash) {
      verdict.kind = InvocationOutcome::cancelled;
      error = Error{ErrorKind::unavailable, "the server stopped before the function ended", {}};
    }
  } else {
    verdict.kind = error->kind == ErrorKind::throttled   ? InvocationOutcome::throttled
                   : error->kind == ErrorKind::cancelled ? InvocationOutcome::cancelled
                                                         : InvocationOutcome::platform_error;
  }
  report(*runnable, request, verdict, begun);
  leave(*runnable, *ticket);
  if (error) co_return std::unexpected(std::move(*error));
  co_return std::move(verdict.outcome);
}

// The caller has its answer; the environment is free, and the call over, when its extensions are
// done as well.
io::Task<void> PooledInvoker::linger(Lease environment, std::shared_ptr<const Runnable> runnable,
                                     Request request, Verdict verdict, Admission::Ticket ticket,
                                     MonoTime begun) {
  co_await environment->finish(verdict);
  pool_.give_back(std::move(environment));
  report(*runnable, request, verdict, begun);
  leave(*runnable, ticket);
}

io::Task<void> PooledInvoker::run_into(std::shared_ptr<Pending> pending,
                                       std::shared_ptr<const Runnable> runnable, Request request) {
  pending->result = co_await run(std::move(runnable), std::move(request));
  pending->done.set();
}

io::Task<Result<events::Outcome>> PooledInvoker::invoke(std::shared_ptr<const Runnable> runnable,
                                                        Request request) {
  if (request.event.id.empty()) request.event.id = RequestId(deps_.random.uuid4());
  bool patient = request.event.deadline == no_deadline && !closing_;
  return patient ? run(std::move(runnable), std::move(request))
                 : run_within(std::move(runnable), std::move(request));
}

io::Task<Result<events::Outcome>> PooledInvoker::run_within(
    std::shared_ptr<const Runnable> runnable, Request request) {
  if (closing_) co_return fail(ErrorKind::unavailable, "the server is stopping");
  // The caller leaves at its deadline; the invocation goes on to its own end.
  Deadline deadline = std::exchange(request.event.deadline, no_deadline);
  auto pending = std::make_shared<Pending>(deps_.loop);
  abandoned_.spawn(run_into(pending, std::move(runnable), std::move(request)));
  CO_TRY(io::to_result(co_await pending->done.wait(deadline), "invocation"));
  co_return std::move(*pending->result);
}

io::Task<void> PooledInvoker::run_streaming(std::shared_ptr<StreamedCall> call,
                                            std::shared_ptr<const Runnable> runnable,
                                            Request request) {
  // Names the stream and keeps the whole call.
  request.stream = std::shared_ptr<guest::AnswerStream>(call, &call->answer);
  call->finish(co_await run(std::move(runnable), std::move(request)));
}

std::shared_ptr<StreamedCall> PooledInvoker::invoke_streaming(
    std::shared_ptr<const Runnable> runnable, Request request) {
  auto call = std::make_shared<StreamedCall>(deps_.loop);
  if (closing_) {
    call->finish(fail(ErrorKind::unavailable, "the server is stopping"));
    return call;
  }
  if (request.event.id.empty()) request.event.id = RequestId(deps_.random.uuid4());
  request.event.deadline = no_deadline;
  abandoned_.spawn(run_streaming(call, std::move(runnable), std::move(request)));
  return call;
}

io::Task<void> PooledInvoker::close(Deadline deadline) {
  closing_ = true;
  queue_.stop();
  while (admission_.running() > 0) {
    if (co_await idle_.park(deadline) != io::Wake::notified) break;
  }
  killing_ = true;
  pool_.refuse();
  pool_.kill_all();
  while (admission_.running() > 0) co_await idle_.park();
  co_await lingering_.close();
  co_await pool_.close();
  co_await queue_.close();
  co_await abandoned_.close();
}

}  // namespace

io::Task<Result<std::unique_ptr<Invoker>>> make_invoker(Deps deps) {
  auto invoker = std::make_unique<PooledInvoker>(std::move(deps));
  CO_TRY(invoker->load());
  co_return std::unique_ptr<Invoker>(std::move(invoker));
}

}  // namespace mayfly::invoke
