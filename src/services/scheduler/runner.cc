#include "services/scheduler/runner.h"

#include "base/log.h"

namespace mayfly::services::scheduler {

namespace {

// What a failed read or write of the store is left alone for; the machine's time.
constexpr auto store_pause = std::chrono::seconds(1);
// A run whose target takes longer (a function that is waited for) no longer takes room from others.
constexpr auto slow_after = std::chrono::seconds(5);

}  // namespace

struct Runner::Claim {
  KeyLocks::Held held;
  ScheduleRef ref;
  std::optional<Run> run{};
  std::optional<Schedule> schedule{};
  bool complete = false;  // and to be deleted, without a run
};

Runner::Runner(Schedules& schedules, const Courier& courier, CountStep count)
    : schedules_(schedules),
      courier_(courier),
      count_(std::move(count)),
      loop_(schedules.deps().loop),
      breakers_(loop_),
      breaker_news_(loop_),
      tasks_(loop_) {
  breakers_.on_change([this](const std::string&) { breaker_news_.wake_all(); });
}

std::int64_t Runner::now_ms() const { return epoch_millis(loop_.clock().platform()); }

void Runner::start() {
  stopped_ = false;
  schedules_.on_due = [this](std::int64_t due_ms) { another(due_ms); };
  schedules_.locks().on_given = [this] {
    if (again_) wake();
  };
  wake();
}

void Runner::stop() {
  stopped_ = true;
  schedules_.on_due = {};
  schedules_.locks().on_given = {};
  if (timer_) loop_.cancel_timer(*std::exchange(timer_, std::nullopt));
  if (pause_) loop_.cancel_timer(*std::exchange(pause_, std::nullopt));
  if (slow_) loop_.cancel_timer(*std::exchange(slow_, std::nullopt));
}

io::Task<void> Runner::close() {
  stop();
  co_await tasks_.close();
}

std::size_t Runner::room() const {
  if (flying_.size() < limits::schedule_flying) return limits::schedule_flying - flying_.size();
  MonoTime since = loop_.now() - slow_after;
  auto quick = static_cast<std::size_t>(
      std::ranges::count_if(flying_, [&](const auto& run) { return run.second > since; }));
  return limits::schedule_flying - std::min(quick, limits::schedule_flying);
}

Runner::Totals Runner::totals() const {
  Totals out = totals_;
  out.under_way = flying_.size();
  out.open_breakers = breakers_.open();
  return out;
}

void Runner::wake() {
  if (stopped_ || pause_) return;
  if (working_) {
    again_ = true;
    return;
  }
  working_ = true;
  tasks_.spawn(work());
}

// What comes after the row that is waited for is looked at after it.
void Runner::another(std::int64_t due_ms) {
  if (!timer_ || from_epoch_millis(due_ms) < timer_->first) wake();
}

io::Task<void> Runner::work() {
  do {
    again_ = false;
    // A commit for many: what is due at the same time is claimed together.
    auto runs = take_runs(room());
    auto claimed = runs ? co_await claim(room()) : std::move(runs);
    if (!claimed) {
      log::error("scheduler", "what is due cannot be read or claimed: {}", claimed.error().message);
      pause();
      break;
    }
    if (*claimed > 0 && room() > 0) again_ = true;
  } while (again_ && !stopped_);
  working_ = false;
  arm();
}

void Runner::pause() {
  if (stopped_) return;
  pause_ = loop_.add_timer(loop_.now() + store_pause, [this] {
    pause_.reset();
    wake();
  });
}

// Waits for the first row that is to come. What is due already and was left waits for a lock or
// for room, whose end wakes.
void Runner::arm() {
  if (timer_) loop_.cancel_timer(*std::exchange(timer_, std::nullopt));
  if (stopped_ || pause_) return;
  auto& store = schedules_.deps().store;
  std::optional<std::int64_t> first;
  for (auto prefix : {due_prefix, run_prefix}) {
    // Rows of runs under way lie before.
    auto after = prefix == run_prefix ? fmt::format("{}{:015}0", prefix, now_ms()) : std::string();
    auto rows = store.scan(prefix, after, 1);
    if (!rows) {
      log::error("scheduler", "what is due next cannot be read: {}", rows.error().message);
      return pause();
    }
    if (rows->empty()) continue;
    auto time = time_of(rows->front().key);
    if (time && (!first || *time < *first)) first = time;
  }
  if (!first) return;
  if (*first <= now_ms()) {
    again_ = true;  // a lock's end wakes; a run's end does always
    if (room() > 0 || slow_) return;
    slow_ = loop_.add_timer(loop_.now() + slow_after, [this] {
      slow_.reset();
      wake();
    });
    return;
  }
  timer_ = loop_.add_platform_timer(from_epoch_millis(*first), [this] {
    timer_.reset();
    wake();
  });
}

Result<std::vector<DueRow>> Runner::due_rows(std::size_t most) const {
  std::vector<DueRow> out;
  std::string after;
  std::string end = fmt::format("{}{:015}0", due_prefix, now_ms());
  while (out.size() < most) {
    std::size_t page = most - out.size();
    TRY_ASSIGN(auto rows, schedules_.deps().store.scan(due_prefix, after, page));
    for (const auto& row : rows) {
      if (row.key > end) return out;
      auto due = parse_due(row.key);
      // A row that is held is being changed: it comes when that has ended.
      if (due && !schedules_.locks().held(due->ref.path())) out.push_back(*std::move(due));
    }
    if (rows.size() < page) return out;
    after = rows.back().key;
  }
  return out;
}

io::Task<Result<std::size_t>> Runner::claim(std::size_t most) {
  CO_TRY_ASSIGN(auto rows, due_rows(most));
  if (rows.empty()) co_return std::size_t{0};
  store::Batch batch;
  std::vector<Claim> claims;
  for (const auto& row : rows) CO_TRY(claim_one(row, batch, claims));
  CO_TRY(co_await schedules_.deps().store.commit(std::move(batch)));
  for (auto& claim : claims) {
    // What has not begun when the server ends is begun after its next start.
    if (stopped_) continue;
    if (claim.run) {
      fly(*std::move(claim.run), std::move(claim.schedule));
    } else if (claim.complete) {
      tasks_.spawn(remove_complete(claim.ref, claim.schedule->id));
    }
  }
  co_return rows.size();
}

Result<bool> Runner::overlaps(const DueRow& row, const Group& group) const {
  if (group.overlap() == Overlap::allow) return false;
  TRY_ASSIGN(auto open, schedules_.deps().store.get(open_key(row.ref)));
  return open.has_value();
}

Result<> Runner::claim_one(const DueRow& row, store::Batch& batch, std::vector<Claim>& claims) {
  const auto& deps = schedules_.deps();
  claims.push_back({.held = schedules_.locks().take_now(row.ref.path()), .ref = row.ref});
  Claim& claim = claims.back();
  batch.deletes.push_back(due_key(row.due_ms, row.ref));
  auto found = schedules_.find(row.ref);
  if (!found && found.error().kind == ErrorKind::corrupt) {
    log::error("scheduler", "{} is not run any more: {}", row.ref.arn(), found.error().message);
    return {};
  }
  TRY_ASSIGN(auto schedule, std::move(found));
  TRY_ASSIGN(auto next, schedules_.next_of(row.ref));
  auto group = deps.groups.find(row.ref.in());
  if (!schedule || !schedule->enabled || !group || group->deleting || next.due_ms != row.due_ms) {
    return {};
  }
  auto times = Times::of(*schedule, deps.zones);
  if (!times) {
    // Its zone is gone from the machine: it stands still until it is changed, and says so.
    log::error("scheduler", "{} is not run any more: {}", row.ref.arn(), times.error().message);
    batch.puts.push_back({next_key(row.ref), encode(Next{.due_ms = {}, .runs = next.runs})});
    return {};
  }
  const Target& target = schedule->target;
  Turn turn =
      take_turn(*times, next.at, row.due_ms, now_ms(), target.max_age_seconds, group->missed());
  auto leave_out = [&](std::int64_t at, std::string_view outcome) {
    ++totals_.missed;
    auto entry =
        wire::Json::object({{"number", next.runs}, {"scheduled", at}, {"outcome", outcome}});
    batch.puts.push_back({history_key(row.ref, next.runs), entry.dump()});
    ++next.runs;
  };
  if (turn.missed) leave_out(*turn.missed, "missed");
  TRY_ASSIGN(bool overlapped, overlaps(row, *group));
  if (turn.run && overlapped) leave_out(*std::exchange(turn.run, std::nullopt), "overlapped");
  if (turn.run) {
    Run run{.id = deps.random.hex(8),
            .ref = row.ref,
            .schedule_id = schedule->id,
            .at = *turn.run,
            .due_ms = *turn.run == next.at ? row.due_ms : *turn.run * 1000,
            .try_ms = now_ms(),
            .number = next.runs++,
            .last = !turn.next,
            .alone = group->overlap() == Overlap::skip};
    if (run.alone) batch.puts.push_back({open_key(row.ref), run.id});
    if (schedule->delete_after_completion) run.target = target;
    batch.puts.push_back({run_key(run.try_ms, run.id), encode(run)});
    claim.run = std::move(run);
  }
  next.at = turn.next.value_or(0);
  next.due_ms.reset();
  if (turn.next) {
    next.due_ms = *turn.next * 1000 + schedules_.jitter(*schedule);
    batch.puts.push_back({due_key(*next.due_ms, row.ref), ""});
  }
  batch.puts.push_back({next_key(row.ref), encode(next)});
  claim.complete = !turn.run && !turn.next && schedule->delete_after_completion;
  claim.schedule = std::move(schedule);
  return {};
}

// Runs whose next attempt is due, and those that a killed server had under way.
Result<std::size_t> Runner::take_runs(std::size_t most) {
  std::size_t taken = 0;
  std::string after;
  std::string end = fmt::format("{}{:015}0", run_prefix, now_ms());
  while (taken < most) {
    TRY_ASSIGN(auto rows, schedules_.deps().store.scan(run_prefix, after, limits::schedule_flying));
    for (const auto& row : rows) {
      if (row.key > end || taken == most) return taken;
      auto run = decode_run(row.key, row.value);
      if (!run) log::error("scheduler", "a run is lost: {}", run.error().message);
      if (!run || flying_.contains(run->id)) continue;
      fly(*std::move(run), std::nullopt);
      ++taken;
    }
    if (rows.size() < limits::schedule_flying) return taken;
    after = rows.back().key;
  }
  return taken;
}

void Runner::fly(Run run, std::optional<Schedule> schedule) {
  flying_.emplace(run.id, loop_.now());
  tasks_.spawn(deliver(std::move(run), std::move(schedule)));
}

}  // namespace mayfly::services::scheduler
