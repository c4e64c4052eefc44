// Of a Runner: one run from its claim to its end.
#include "base/log.h"
#include "services/scheduler/runner.h"

namespace mayfly::services::scheduler {

namespace {

using wire::Json;

constexpr auto store_pause = std::chrono::seconds(1);

// Doubled from attempt to attempt up to a bound, less up to a fifth.
std::int64_t backoff_ms(std::int64_t attempt, Random& random) {
  auto first = std::chrono::milliseconds(limits::schedule_backoff_first).count();
  auto most = std::chrono::milliseconds(limits::schedule_backoff_max).count();
  std::int64_t time = std::min(most, first << std::min<std::int64_t>(attempt - 1, 20));
  return time - static_cast<std::int64_t>(random.next_u64() % static_cast<std::uint64_t>(time / 5));
}

}  // namespace

void Runner::forget(const Run& run, store::Batch& batch) {
  batch.deletes.push_back(run_key(run.try_ms, run.id));
  if (run.alone) batch.deletes.push_back(open_key(run.ref));
}

io::Task<void> Runner::deliver(Run run, std::optional<Schedule> schedule) {
  std::int64_t began = now_ms();
  if (!run.target && !schedule) {
    auto found = schedules_.find(run.ref);
    if (found && *found && (*found)->id == run.schedule_id) schedule = *std::move(*found);
    if (!found) log::error("scheduler", "{}: {}", run.ref.arn(), found.error().message);
  }
  if (!run.target && !schedule) {
    // Deleted before it was tried once.
    store::Batch batch;
    forget(run, batch);
    co_await keep(std::move(batch));
  } else {
    Target target = run.target ? *run.target : schedule->target;
    auto failure = co_await attempt(run, target);
    bool waits = failure && failure->code == gate::circuit_open && co_await postpone(run, target);
    if (!waits) {
      count(run, Step::attempted);
      if (failure) count(run, failure->throttled ? Step::throttled : Step::target_error);
      co_await settle(run, target, std::move(failure), began);
    }
  }
  flying_.erase(run.id);
  wake();
}

io::Task<bool> Runner::retry(const Run& run, const Target& target, const Failure& failure,
                             std::string& exhausted) {
  if (failure.final) co_return false;
  Run again = run;
  again.try_ms = now_ms() + backoff_ms(run.attempt, schedules_.deps().random);
  // As often as a function that fails is called anew when nobody waits for it.
  std::int64_t most = failure.of_function
                          ? std::min<std::int64_t>(target.max_retries, limits::async_retries)
                          : target.max_retries;
  if (run.attempt > most && failure.code != gate::circuit_open) exhausted = "MaximumRetryAttempts";
  if (again.try_ms - run.due_ms > target.max_age_seconds * 1000) {
    exhausted = "MaximumEventAgeInSeconds";
  }
  if (!exhausted.empty()) co_return false;
  ++again.attempt;
  again.waited = false;
  // It goes on as it has begun, whatever becomes of its schedule.
  again.target = target;
  co_await put_off(run, again);
  co_return true;
}

io::Task<void> Runner::put_off(const Run& run, const Run& later) {
  store::Batch batch;
  batch.deletes.push_back(run_key(run.try_ms, run.id));
  batch.puts.push_back({run_key(later.try_ms, later.id), encode(later)});
  co_await keep(std::move(batch));
}

io::Task<void> Runner::settle(Run run, const Target& target, std::optional<Failure> failure,
                              std::int64_t began_ms) {
  std::string exhausted;
  if (failure && co_await retry(run, target, *failure, exhausted)) co_return;
  Json entry = Json::object({{"number", run.number},
                             {"scheduled", run.at},
                             {"id", run.id},
                             {"attempts", run.attempt},
                             {"began", began_ms},
                             {"ended", now_ms()},
                             {"outcome", "delivered"}});
  ++(failure ? totals_.failed : totals_.delivered);
  if (failure) {
    count(run, Step::dropped);
    entry["outcome"] = "failed";
    entry["code"] = failure->code;
    entry["message"] = failure->message;
    log::warn("scheduler", "{} could not run: {}: {}", run.ref.arn(), failure->code,
              failure->message);
  }
  if (failure && !target.dead_letter_arn.empty()) {
    auto buried = co_await courier_.bury(run, target, *failure, std::move(exhausted));
    count(run, buried ? Step::dead_lettered : Step::dead_letter_failed);
    if (buried) entry["deadLetter"] = true;
    if (!buried) {
      entry["deadLetter"] = false;
      log::error("scheduler", "{} lost a dead letter: {}", run.ref.arn(), buried.error().message);
    }
  }
  // With the lock: a schedule that was given further times meanwhile is not complete.
  auto held = co_await schedules_.locks().take(run.ref.path());
  store::Batch batch;
  forget(run, batch);
  auto schedule = schedules_.find(run.ref);
  bool there = schedule && *schedule && (*schedule)->id == run.schedule_id;
  auto next = there ? schedules_.next_of(run.ref) : Next{};
  if (there && run.last && (*schedule)->delete_after_completion && next && !next->due_ms) {
    if (auto all = schedules_.collect(run.ref, batch); !all) {
      log::error("scheduler", "{} is complete and stays: {}", run.ref.arn(), all.error().message);
    }
  } else if (there) {
    batch.puts.push_back({history_key(run.ref, run.number), entry.dump()});
  }
  co_await keep(std::move(batch));
}

io::Task<void> Runner::remove_complete(ScheduleRef ref, std::string id) {
  auto removed = co_await schedules_.remove(ref, std::move(id));
  if (!removed && removed.error().kind != ErrorKind::not_found) {
    log::error("scheduler", "{} is complete and stays: {}", ref.arn(), removed.error().message);
  }
}

// Until the store takes it, or the server ends: then it is done again after the next start.
io::Task<void> Runner::keep(store::Batch batch) {
  while (true) {
    auto done = co_await schedules_.deps().store.commit(batch);
    if (done) co_return;
    log::error("scheduler", "the end of a run cannot be stored: {}", done.error().message);
    if (co_await io::sleep_for(loop_, store_pause, tasks_.stop_token()) == io::Wake::cancelled) {
      co_return;
    }
  }
}

}  // namespace mayfly::services::scheduler
