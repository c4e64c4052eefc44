// Of a Runner: runs whose target has a circuit breaker.
#include "base/log.h"
#include "services/scheduler/runner.h"

namespace mayfly::services::scheduler {

namespace {

std::string breaker_key(const Run& run, const Target& target) {
  return fmt::format("{} {} ", run.ref.in().path(), target.arn);
}

std::int64_t expires_ms(const Run& run, const Target& target) {
  return run.due_ms + target.max_age_seconds * 1000;
}

}  // namespace

std::shared_ptr<const gate::BreakerSettings> Runner::breaker_of(const Run& run) const {
  auto group = schedules_.deps().groups.find(run.ref.in());
  return group ? gate::breaker_of(group->tags).value_or(nullptr) : nullptr;
}

io::Task<std::optional<Failure>> Runner::attempt(Run run, Target target) {
  std::string key = breaker_key(run, target);
  if (run.waited && now_ms() > expires_ms(run, target)) {
    co_return Failure{.code = std::string(gate::circuit_open),
                      .message = "it waited at an open circuit breaker until it was too old"};
  }
  while (true) {
    auto breaker = breaker_of(run);
    if (!breaker) {
      // Its tag may have been taken away while it was open.
      if (!breakers_.lets(key)) breakers_.forget(key);
      co_return co_await courier_.deliver(std::move(run), std::move(target));
    }
    auto begun = breakers_.begin(key, *breaker);
    if (begun) {
      using End = gate::Breakers::End;
      auto failure = co_await courier_.deliver(std::move(run), std::move(target));
      auto how = failure && failure->final ? End::neither : failure ? End::failure : End::success;
      breakers_.end(key, *breaker, how);
      co_return failure;
    }
    Failure open{.code = std::string(gate::circuit_open), .message = begun.error().message};
    if (!breaker->fallback.empty()) {
      auto instead = co_await detour(run, target, breaker->fallback);
      if (!instead) co_return std::nullopt;
      log::warn("scheduler", "the fallback {} of {} takes nothing: {}", breaker->fallback,
                run.ref.arn(), instead->message);
      co_return open;
    }
    bool tried_out = breakers_.opens_ms(key) == 0;
    if (!tried_out) co_return open;
    auto wake = co_await breaker_news_.park(no_deadline, tasks_.stop_token());
    if (wake == io::Wake::cancelled) co_return open;
  }
}

io::Task<std::optional<Failure>> Runner::detour(Run run, Target target,
                                                std::string fallback) const {
  target.arn = std::move(fallback);
  if (target.source.empty()) target.source = "aws.scheduler";
  if (target.detail_type.empty()) target.detail_type = "Scheduled Event";
  if (!target.arn.ends_with(".fifo")) target.message_group.clear();
  co_return co_await courier_.deliver(std::move(run), std::move(target));
}

io::Task<bool> Runner::postpone(Run run, const Target& target) {
  std::int64_t expires = expires_ms(run, target);
  if (now_ms() > expires) co_return false;
  // What the end of the server interrupts begins again with its next start.
  if (stopped_) co_return true;
  auto breaker = breaker_of(run);
  std::int64_t opens = breakers_.opens_ms(breaker_key(run, target));
  bool lets = !breaker || breakers_.lets(breaker_key(run, target));
  if (opens == 0) opens = lets ? now_ms() : now_ms() + breaker->open_ms;
  Run later = run;
  // At the latest when it is just too old, for its dead letter.
  later.try_ms = std::max(std::min(opens, expires + 1), now_ms() + 1);
  later.waited = true;
  later.target = target;
  co_await put_off(run, later);
  co_return true;
}

}  // namespace mayfly::services::scheduler
