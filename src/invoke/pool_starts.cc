// Starts: whose environment is made next, how many at one time, and what happens when the machine
// has no room for another: callers wait, first for a while and then no longer.
#include <algorithm>

#include "base/log.h"
#include "invoke/pool.h"

namespace mayfly::invoke {
namespace {

// A start that takes longer than this leaves its slot to others: it waits for something, or for its
// function's own share of the processors.
constexpr auto slow_start = std::chrono::seconds(1);
// While processors are contended: environments at work, for each processor, of all functions that
// are at work together.
constexpr std::size_t contended_width = 8;
// What a turn costs a function of which no start has been measured.
constexpr double turn_cost_min = 0.001;
constexpr auto watch_waiting = std::chrono::milliseconds(100);
constexpr auto reading_age_waiting = std::chrono::milliseconds(100);
// While anything lives, watch() reads more often than that.
constexpr auto reading_age = std::chrono::milliseconds(1'500);

}  // namespace

void Pool::ask_for_start(Group& group) {
  if (group.queued++ == 0) start_queue_.add(group.habits->concurrency_key, &group);
  pump_starts();
}

void Pool::pump_starts() {
  if (start_queue_.empty() || closing_) return;
  machine_.look(deps_.loop.now(), held_back_ ? Duration(reading_age_waiting) : reading_age);
  held_back_ = false;
  while (slots_free()) {
    Group* next = start_queue_.next([this](const Group* group) { return may_start(*group); });
    held_back_ = !start_queue_.empty() && (next == nullptr || !has_place(*next));
    if (next == nullptr || held_back_) break;
    bool wanted = next->waiters.size() > starting_places(*next);
    double cost = wanted ? std::max(turn_cost_min, next->habits->start_seconds) : 0;
    const std::string& owner = next->habits->concurrency_key;
    start_queue_.take(owner, next, cost);
    if (--next->queued > 0) start_queue_.add(owner, next);
    if (wanted) {
      spawn_start(*next, false);
    } else {
      // Whoever asked has been served by an environment that came back.
      forget_if_empty(*next);
    }
  }
  if (!start_queue_.empty()) arm_watch(watch_waiting);
}

bool Pool::may_start(const Group& group) const {
  if (group.waiters.size() <= starting_places(group)) return true;  // its turn is given up
  const Habits& habits = *group.habits;
  if (habits.slow_starts >= max_starts_) return false;
  if (!machine_.contended()) return true;
  std::size_t all = contended_width * width_;
  std::size_t share = std::max(width_, all / std::max<std::size_t>(1, functions_at_work_));
  return habits.at_work() < share;
}

bool Pool::has_place(const Group& group) {
  if (group.waiters.size() <= starting_places(group)) return true;
  std::uint64_t bytes =
      templates_.has_own(*group.runnable) ? fork_share_bytes : environment_share_bytes;
  // Where nothing of ours lives, nothing of ours can give memory back: one goes on.
  bool alone = live_.empty() && starts_.empty();
  return (alone || machine_.has_memory(bytes)) && make_room(bytes);
}

Pool::StartAt Pool::begin_start(Group& group) {
  ++group.starting;
  ++group.habits->starting;
  ++starting_;
  return starts_.insert(starts_.end(), {.group = &group, .since = deps_.loop.now()});
}

Duration Pool::end_start(StartAt start) {
  Group& group = *start->group;
  Duration took = deps_.loop.now() - start->since;
  --group.starting;
  --group.habits->starting;
  if (start->has_slot) {
    --starting_;
  } else {
    --group.habits->slow_starts;
  }
  starts_.erase(start);
  return took;
}

void Pool::spawn_start(Group& group, bool spare) {
  tasks_.spawn(start_one(begin_start(group), spare));
}

void Pool::free_slot(Start& start) {
  if (!std::exchange(start.has_slot, false)) return;
  --starting_;
  ++start.group->habits->slow_starts;
}

Result<Lease> Pool::make_environment(Group& group) {
  if (closing_) return fail(ErrorKind::cancelled, "the server is stopping");
  TRY_ASSIGN(auto runtime, deps_.choose_runtime(group.runnable->runtime));
  auto origin = templates_.find(*group.runnable, *runtime.pack);
  std::uint64_t bytes = origin ? fork_share_bytes : environment_share_bytes;
  TRY(make_tenant_room(*group.runnable));
  TRY(make_capacity_room(*group.runnable));
  if (!make_room(bytes)) {
    return std::unexpected(machine_full());
  }
  auto out = std::make_shared<Environment>(deps_, buffer_, group.runnable, std::move(runtime));
  if (!origin) out->become_of(templates_.take_booted(*group.runnable, *out->runtime().pack));
  out->fork_from(std::move(origin));
  auto* raw = out.get();
  out->on_idle_exit = [this, raw] { idle_exited(raw); };
  if (out->shares()) out->on_place_free = [this, raw] { place_freed(raw); };
  count(raw, bytes);
  return out;
}

io::Task<void> Pool::start_one(StartAt start, bool spare) {
  Group& group = *start->group;
  if (group.runnable->snap_start && !templates_.has_own(*group.runnable)) {
    // Gone with a restart of the server or for want of memory, the snapshot is made anew. Its init
    // may take minutes, in which others start.
    free_slot(*start);
    co_await templates_.snapshot(group.runnable);
  }
  auto made = make_environment(group);
  Lease environment = made ? std::move(*made) : nullptr;
  std::optional<Error> error;
  bool broken = false;
  if (environment) {
    auto started = co_await environment->start();
    if (!started) error = std::move(started).error();
    broken = environment->broken();
    // A template costs two starts more: not while others wait for theirs.
    if (!error && !broken && !group.retired && machine_.at_ease()) {
      templates_.want(group.runnable, environment->runtime());
    }
  } else {
    error = made.error();
  }
  Duration took = end_start(start);
  if (!error && !broken) group.habits->note_start(took);
  std::size_t swapped = group.swapped;
  if (group.starting == 0) group.swapped = 0;
  note_start(group, error ? &*error : nullptr, broken);
  if (error) {
    if (environment) end(std::move(environment));
    deliver_error(group, *error);
    forget_if_empty(group);
  } else {
    bool unasked = group.waiters.empty() && swapped > 0;
    if (unasked) group.swapped -= std::min<std::size_t>(group.swapped, 1);
    environment->spare = spare || unasked;
    deliver(group, std::move(environment));
  }
  pump_starts();
}

// Callers that would wait are bounded in number: of all functions, of one, and more narrowly of one
// while starts are held back.
Result<> Pool::check_waiting(const Group& group) const {
  std::size_t of_one = held_back_ ? limits::waiting_callers_held_back : limits::waiting_callers / 2;
  if (waiting_ < limits::waiting_callers && group.habits->waiting < of_one) return {};
  return std::unexpected(machine_full());
}

// Those for whom a start is under way, the first of each group, go on waiting for it; so do those
// whose function's own starts take long.
void Pool::give_up_waiting() {
  MonoTime since = deps_.loop.now() - deps_.settings.start_wait;
  start_queue_.each([&](Group* group) {
    if (group->habits->slow_starts >= max_starts_) return;
    std::size_t behind = starting_places(*group);
    for (auto at = group->waiters.begin(); at != group->waiters.end();) {
      Waiter* waiter = *at;
      auto here = at++;
      if (waiter->held) continue;
      if (behind > 0) {
        --behind;
        continue;
      }
      if (waiter->since > since) break;
      group->waiters.erase(here);
      waiter->error = machine_full();
      waiter->ready.set();
    }
  });
}

Error Pool::machine_full() const {
  std::string why;
  if (machine_.contended()) {
    why = "more wants to run than its processors can";
  } else if (!machine_.has_memory(environment_share_bytes)) {
    why = fmt::format("{} MB of memory are left",
                      machine_.reading().memory_available_bytes / limits::mib);
  } else if (!has_room(fork_share_bytes)) {
    why = fmt::format("all {} environments it has room for are busy", live_.size());
  } else {
    why = "too many wait for a start";
  }
  return {ErrorKind::throttled, "This machine cannot start another environment now: " + why,
          "ConcurrentInvocationLimitExceeded"};
}

// While processors are contended each function has the same part of them, however many environments
// it has at work: those of one share what a single one of another gets.
void Pool::share_processors() {
  bool contended = machine_.contended();
  if (!contended && !sharing_) return;
  sharing_ = contended;
  for (auto& [key, group] : groups_) {
    auto among = static_cast<std::uint32_t>(std::max<std::size_t>(1, group->habits->busy));
    for (auto& seat : group->busy) {
      seat.environment->set_cpu_weight(contended ? std::max(1u, 1000 / among) : 1000);
    }
    for (auto& environment : group->idle) environment->set_cpu_weight(1000);
  }
}

void Pool::arm_watch(Duration wait) {
  if (closing_) return;
  MonoTime at = deps_.loop.now() + wait;
  if (watch_timer_ && watch_timer_->first <= at) return;
  if (watch_timer_) deps_.loop.cancel_timer(*watch_timer_);
  watch_timer_ = deps_.loop.add_timer(at, [this] {
    watch_timer_.reset();
    watch();
  });
}

void Pool::watch() {
  MonoTime now = deps_.loop.now();
  machine_.look(now, reading_age_waiting);
  for (auto& start : starts_) {
    if (start.since + slow_start > now) break;
    free_slot(start);
  }
  share_processors();
  weigh();
  keep_idle_within_memory();
  pump_starts();
  give_up_waiting();
  if (!live_.empty()) arm_watch(machine_.contended() ? Duration(watch_waiting) : watch_every);
}

}  // namespace mayfly::invoke
