#include "invoke/async_queue.h"

#include <algorithm>

#include "base/limits.h"
#include "base/log.h"

namespace mayfly::invoke {
namespace {

constexpr std::size_t load_page = 256;

std::int64_t millis(auto time) { return std::chrono::milliseconds(time).count(); }

// Throttles and failures of ours (developer guide, "How Lambda handles errors and retries with
// asynchronous invocation").
std::int64_t backoff_ms(std::uint32_t failures) {
  std::uint32_t doublings = std::min(failures - 1, 16u);
  return std::min(millis(limits::async_backoff_first) << doublings,
                  millis(limits::async_backoff_max));
}

std::int64_t retry_ms(std::uint32_t failures) {
  return millis(failures <= 1 ? limits::async_retry_first : limits::async_retry_second);
}

std::int64_t expires_ms(const AsyncRecord& record, const AsyncTarget& target) {
  return record.accepted_ms + target.max_age_seconds * 1000ll;
}

std::string_view reason(Ending::Condition condition) {
  switch (condition) {
    case Ending::Condition::success: return "it succeeded";
    case Ending::Condition::retries_exhausted: return "its retries are used up";
    case Ending::Condition::event_age_exceeded: return "it is too old, or would be for its retry";
    case Ending::Condition::zero_reserved_concurrency:
      return "no concurrency is reserved for its function";
  }
  return {};
}

}  // namespace

AsyncQueue::AsyncQueue(const Deps& deps, Run run)
    : deps_(deps),
      max_running_(static_cast<std::size_t>(std::max(1, deps.settings.max_async_running))),
      max_running_total_(
          static_cast<std::size_t>(std::max(1, deps.settings.max_async_running_total))),
      run_(std::move(run)),
      tasks_(deps.loop) {}

Result<> AsyncQueue::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan(async_prefix, after, load_page));
    for (auto& row : rows) {
      if (async_due_ms(row.key)) {
        waiting_.insert(row.key);
      } else {
        log::error("invoke", "'{}' in the queue of events is not understood and left alone",
                   row.key);
      }
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

void AsyncQueue::start(Resolver resolver) {
  resolver_ = std::move(resolver);
  expect_returns();
  pump();
}

io::Task<Result<>> AsyncQueue::enqueue(AsyncEvent event) {
  AsyncRecord record{.event = std::move(event), .accepted_ms = now_ms()};
  std::string key = async_key(record.accepted_ms, record.event);
  store::Batch batch;
  batch.puts.push_back({key, encode(record)});
  CO_TRY(co_await deps_.store.commit(std::move(batch)));
  report(record.event, AsyncStep::received);
  waiting_.insert(std::move(key));
  pump();
  co_return Result<>{};
}

void AsyncQueue::pump() {
  if (stopped_ || !resolver_) return;
  pump_again_ = true;
  if (pumping_) return;  // an event that ended at once
  pumping_ = true;
  while (std::exchange(pump_again_, false)) {
    sort_due();
    // Whoever starts one goes to the end; the round is over when nobody may.
    for (std::size_t left = turn_.size(); left > 0;) {
      Lane& lane = *turn_.front();
      turn_.pop_front();
      lane.queued = false;
      if (lane.flow) absorb(lane);
      bool starts = may_start(lane) && start_one(lane);
      if (lane.flow) arm_lane(lane);
      if (has_work(lane)) take_turn(lane);
      drop_if_idle(lane);
      left = starts ? turn_.size() : left - 1;
    }
  }
  pumping_ = false;
}

void AsyncQueue::sort_due() {
  while (!waiting_.empty()) {
    std::int64_t due = *async_due_ms(*waiting_.begin());
    if (due > now_ms()) return arm(due);
    std::string key = std::move(waiting_.extract(waiting_.begin()).value());
    std::string name(async_lane(key));
    Lane& lane = lane_of(name);
    lane.due.push_back(std::move(key));
    ++due_;
    take_turn(lane);
  }
}

AsyncQueue::Lane& AsyncQueue::lane_of(const std::string& name) {
  auto& lane = lanes_[name];
  if (lane) return *lane;
  lane = std::make_unique<Lane>(Lane{.name = name, .due = {}});
  if (auto flow = flows_.find(name); flow != flows_.end()) {
    lane->flow = std::make_unique<AsyncFlow>(flow->second, ++flow_count_);
  }
  return *lane;
}

void AsyncQueue::take_turn(Lane& lane) {
  if (!std::exchange(lane.queued, true)) turn_.push_back(&lane);
}

bool AsyncQueue::has_work(Lane& lane) const {
  if (!lane.flow) return !lane.due.empty();
  return !lane.plain.empty() || lane.flow->ready(now_ms()) ||
         (!lane.due.empty() && lane.flow->room());
}

void AsyncQueue::drop_if_idle(Lane& lane) {
  bool waits =
      lane.queued || !lane.due.empty() || !lane.plain.empty() || (lane.flow && !lane.flow->idle());
  if (waits || lane.running > 0) return;
  if (lane.timer) deps_.loop.cancel_timer(*lane.timer);
  lanes_.erase(std::string(lane.name));
}

bool AsyncQueue::may_start(const Lane& lane) const {
  return lane.running < max_running_ && (running_ < max_running_total_ || lane.running == 0);
}

// false: with flow control, nothing may go now.
bool AsyncQueue::start_one(Lane& lane) {
  std::optional<AsyncFlow::Turn> turn;
  auto& first = lane.flow ? lane.plain : lane.due;
  std::string key;
  if (!first.empty()) {
    key = std::move(first.front());
    first.pop_front();
  } else if (lane.flow) {
    turn = lane.flow->next(now_ms());
    if (turn) key = turn->key;
  }
  if (key.empty()) return false;
  --due_;
  ++lane.running;
  ++running_;
  tasks_.spawn(run_one(lane, std::move(key), std::move(turn)));
  return true;
}

void AsyncQueue::arm(std::int64_t due_ms) {
  auto& loop = deps_.loop;
  if (timer_) loop.cancel_timer(*timer_);
  timer_ = loop.add_platform_timer(from_epoch_millis(due_ms), [this] {
    timer_.reset();
    pump();
  });
}

io::Task<void> AsyncQueue::run_one(Lane& lane, std::string key,
                                   std::optional<AsyncFlow::Turn> turn) {
  gate::Flow::Finish finish{.ran = false};
  auto row = deps_.store.get(key);
  if (!row || !*row) {
    log::error("invoke", "the event {} cannot be read: {}", key,
               row ? "it is gone" : row.error().message);
  } else if (auto record = decode_async((*row)->value); !record) {
    // It would fail for ever: it stays in the store for a person to look at, and blocks nobody.
    log::error("invoke", "the event {} is skipped: {}", key, record.error().message);
  } else {
    Next next = co_await decide(std::move(*record));
    finish = {.ran = next.ran, .comes_again = next.later.has_value()};
    if (!co_await settle(key, std::move(next))) {
      finish.comes_again = true;
      if (turn) again_.insert(std::move(key));
    }
  }
  --running_;
  --lane.running;
  if (lane.flow) {
    if (turn) lane.flow->finished(*turn, now_ms(), finish);
    take_turn(lane);
  }
  if (!pumping_) drop_if_idle(lane);
  pump();
}

io::Task<AsyncQueue::Next> AsyncQueue::decide(AsyncRecord record) {
  const auto& event = record.event;
  if (event.outbound) co_return co_await push_out(std::move(record));
  auto target = co_await resolver_(event.scope, event.name, event.qualifier);
  if (!target) {
    AsyncTarget unknown{.runnable = std::unexpected(target.error()), .invoked_arn = {}};
    if (target.error().kind != ErrorKind::not_found) {
      co_return after_platform_failure(std::move(record), unknown, target.error());
    }
    log::warn("invoke", "the event {} for {} is given up: its function is gone",
              event.event.id.str(), event.name.str());
    report(event, AsyncStep::dropped);
    co_return Next{};
  }
  if (target->runnable && target->runnable->reserved_concurrency == 0) {
    co_return finish(record, *target, Condition::zero_reserved_concurrency, nullptr);
  }
  if (now_ms() >= expires_ms(record, *target)) {
    co_return finish(record, *target, Condition::event_age_exceeded, nullptr);
  }
  if (!target->runnable) {
    Error error = target->runnable.error();
    co_return after_platform_failure(std::move(record), *target, error);
  }
  co_return co_await run(std::move(record), std::move(*target));
}

std::shared_ptr<events::Effects> AsyncQueue::begin_effects(const Runnable& runnable) const {
  return runnable.exactly_once && deps_.ledger != nullptr ? deps_.ledger->begin() : nullptr;
}

// The outcome that is on record for an event whose effects are held back: it was done, and the
// server ended before the event was forgotten.
Result<std::optional<std::string>> AsyncQueue::done_before(const AsyncEvent& event,
                                                           const Runnable& runnable) const {
  if (!runnable.exactly_once || deps_.ledger == nullptr) return std::optional<std::string>();
  return deps_.ledger->done(event.event.id.str());
}

io::Task<AsyncQueue::Next> AsyncQueue::run(AsyncRecord record, AsyncTarget target) {
  auto done = done_before(record.event, *target.runnable);
  if (!done) co_return after_platform_failure(std::move(record), target, done.error());
  if (*done) {
    events::Outcome outcome;
    outcome.payload = **std::move(done);
    outcome.executed_version = target.runnable->version;
    co_return finish(record, target, Condition::success, &outcome);
  }
  report(record.event, AsyncStep::started,
         std::chrono::milliseconds(now_ms() - record.accepted_ms));
  Request request{.event = record.event.event,
                  .invoked_arn = target.invoked_arn,
                  .type = InvocationType::event};
  auto runnable = std::make_shared<const Runnable>(*target.runnable);
  auto effects = request.effects = begin_effects(*runnable);
  auto outcome = co_await run_(std::move(runnable), std::move(request));
  if (outcome && outcome->kind == events::Outcome::Kind::ok && effects) {
    auto done = co_await effects->commit({}, record.event.event.id.str(), outcome->payload);
    if (!done) outcome = std::unexpected(std::move(done).error());
  }
  if (!outcome) co_return after_platform_failure(std::move(record), target, outcome.error());
  Next next = outcome->kind == events::Outcome::Kind::ok
                  ? finish(record, target, Condition::success, &*outcome)
                  : after_function_failure(std::move(record), target, *outcome);
  next.ran = true;
  co_return next;
}

AsyncQueue::Next AsyncQueue::after_function_failure(AsyncRecord record, const AsyncTarget& target,
                                                    const events::Outcome& outcome) {
  ++record.function_failures;
  if (record.function_failures > static_cast<std::uint32_t>(std::max(0, target.max_retries))) {
    return finish(record, target, Condition::retries_exhausted, &outcome);
  }
  std::int64_t due = now_ms() + retry_ms(record.function_failures);
  if (due >= expires_ms(record, target)) {
    return finish(record, target, Condition::event_age_exceeded, &outcome);
  }
  return {.later = std::move(record), .due_ms = due};
}

// Such an event is kept until it is too old, and tried last before that.
AsyncQueue::Next AsyncQueue::after_platform_failure(AsyncRecord record, const AsyncTarget& target,
                                                    const Error& error) {
  ++record.platform_failures;
  std::int64_t expires = expires_ms(record, target);
  if (now_ms() >= expires) return finish(record, target, Condition::event_age_exceeded, nullptr);
  log::debug("invoke", "the event {} waits: {}", record.event.event.id.str(), error.message);
  std::int64_t due = std::min(now_ms() + backoff_ms(record.platform_failures), expires);
  return {.later = std::move(record), .due_ms = due};
}

AsyncQueue::Next AsyncQueue::finish(const AsyncRecord& record, const AsyncTarget& target,
                                    Condition condition, const events::Outcome* outcome) {
  const auto& id = record.event.event.id.str();
  const auto& name = record.event.name.str();
  bool success = condition == Condition::success;
  if (!success) {
    report(record.event, AsyncStep::dropped);
    log::warn("invoke", "the event {} for {} is given up: {}", id, name, reason(condition));
  }
  Ending ending{.condition = condition,
                .event = record.event,
                .invoked_arn = target.invoked_arn,
                .invocations = static_cast<int>(record.function_failures) + (success ? 1 : 0),
                .outcome = outcome};
  Next next;
  tell(success ? target.on_success : target.on_failure, ending, next);
  if (!success) tell(target.dead_letter, ending, next);
  return next;
}

void AsyncQueue::tell(const Handover& whom, const Ending& ending, Next& next) {
  if (!whom) return;
  auto told = whom(ending);
  if (told) {
    next.handovers.push_back(*std::move(told));
    return;
  }
  report(ending.event, AsyncStep::delivery_failed);
  log::warn("invoke", "no destination hears of the event {} for {}: {}",
            ending.event.event.id.str(), ending.event.name.str(), told.error().message);
}

// What the resource will never take is given up; anything else is tried until it is too old.
io::Task<AsyncQueue::Next> AsyncQueue::push_out(AsyncRecord record) {
  const auto& event = record.event;
  auto pushed = co_await deps_.deliver({.arn = event.outbound->arn,
                                        .payload = event.event.payload,
                                        .sender = {.service = "lambda.amazonaws.com",
                                                   .source_arn = event.outbound->source_arn,
                                                   .account = event.scope.account,
                                                   .role_arn = event.outbound->role_arn},
                                        .trace_header = event.event.trace_header,
                                        .subject = event.outbound->subject,
                                        .attributes = event.outbound->attributes});
  if (pushed) co_return Next{};
  auto kind = pushed.error().kind;
  bool later = kind == ErrorKind::throttled || kind == ErrorKind::unavailable ||
               kind == ErrorKind::cancelled || kind == ErrorKind::timeout;
  std::int64_t expires = record.accepted_ms + millis(limits::async_max_age);
  if (later && now_ms() < expires) {
    ++record.platform_failures;
    std::int64_t due = std::min(now_ms() + backoff_ms(record.platform_failures), expires);
    co_return Next{.later = std::move(record), .due_ms = due};
  }
  report(event, AsyncStep::delivery_failed);
  log::warn("invoke", "{} does not get what {} has for it: {}", event.outbound->arn,
            event.name.str(), pushed.error().message);
  co_return Next{};
}

void AsyncQueue::report(const AsyncEvent& event, AsyncStep step, Duration age) {
  deps_.observer.async_event(
      {.scope = event.scope, .function = event.name.str(), .step = step, .age = age});
}

io::Task<bool> AsyncQueue::settle(std::string key, Next next) {
  // While the server stops, an event without an outcome stays as it is, for the next start.
  if (stopped_ && next.later && next.later->platform_failures > 0) co_return true;
  store::Batch batch;
  batch.deletes.push_back(key);
  std::vector<std::string> new_keys;
  if (next.later) {
    new_keys.push_back(async_key(next.due_ms, next.later->event));
    batch.puts.push_back({new_keys.back(), encode(*next.later)});
  }
  for (auto& handover : next.handovers) {
    AsyncRecord told{.event = handover, .accepted_ms = now_ms()};
    new_keys.push_back(async_key(told.accepted_ms, told.event));
    batch.puts.push_back({new_keys.back(), encode(told)});
  }
  auto committed = co_await deps_.store.commit(std::move(batch));
  if (committed) {
    for (const auto& handover : next.handovers) {
      if (!handover.outbound) report(handover, AsyncStep::received);
    }
    waiting_.insert(new_keys.begin(), new_keys.end());
    co_return true;
  }
  // The old record stands: the event runs once more rather than never.
  log::error("invoke", "the outcome of the event {} cannot be stored: {}", key,
             committed.error().message);
  co_await io::sleep_for(deps_.loop, limits::async_backoff_first, tasks_.stop_token());
  waiting_.insert(std::move(key));
  co_return false;
}

void AsyncQueue::stop() {
  stopped_ = true;
  for (auto& [name, lane] : lanes_) {
    if (lane->timer) deps_.loop.cancel_timer(*std::exchange(lane->timer, std::nullopt));
  }
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
}

io::Task<void> AsyncQueue::close() {
  stop();
  co_await tasks_.close();
}

}  // namespace mayfly::invoke
