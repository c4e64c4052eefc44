#include "invoke/pool.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "io/processors.h"

namespace mayfly::invoke {
namespace {

constexpr std::size_t environments_min = 8;
// A call within this time after another makes the function one in use.
constexpr auto in_use_within = std::chrono::seconds(10);
// Native programs start in a moment and take little memory.
bool starts_cheaply(const Runnable& runnable) { return runnable.runtime.starts_with("provided"); }

}  // namespace

Pool::Pool(const Deps& deps)
    : deps_(deps),
      templates_(deps_, buffer_, [this](Lease environment) { adopt(std::move(environment)); }),
      room_bytes_(deps.settings.max_environments * environment_share_bytes),
      max_starts_(static_cast<std::size_t>(std::max(0, deps.settings.max_concurrent_starts))),
      machine_(deps.read_machine, std::max(1u, std::thread::hardware_concurrency())),
      tasks_(deps.loop) {
  if (room_bytes_ == 0) {
    room_bytes_ = std::max(environments_min * environment_share_bytes, machine_memory_bytes());
  }
  width_ = static_cast<std::size_t>(std::max(0, deps.settings.max_busy_with_quick_calls));
  if (width_ == 0) width_ = io::own_processors();
  if (max_starts_ == 0) max_starts_ = std::max(4u, 2 * io::own_processors());
}

Pool::Group* Pool::find_group(const Runnable& runnable) const {
  if (last_group_ != nullptr && last_group_->runnable.get() == &runnable) return last_group_;
  auto found = groups_.find(runnable.environments_key());
  if (found == groups_.end()) return nullptr;
  last_group_ = found->second.get();
  return last_group_;
}

Pool::Group& Pool::group_of(const std::shared_ptr<const Runnable>& runnable) {
  if (auto* known = find_group(*runnable)) {
    known->runnable = runnable;
    known->retired = false;  // the same key is the same configuration
    return *known;
  }
  // Another configuration of the same version was changed into this one.
  retire_where([&](const Runnable& other) {
    return other.concurrency_key == runnable->concurrency_key &&
           other.version == runnable->version && other.pool_key != runnable->pool_key;
  });
  auto& slot = groups_[runnable->environments_key()];
  slot = std::make_unique<Group>();
  slot->key = runnable->environments_key();
  slot->habits = habits_.of(runnable->concurrency_key);
  slot->runnable = runnable;
  return *slot;
}

void Pool::forget_if_empty(Group& group) {
  if (group.idle.empty() && group.waiters.empty() && group.starting == 0 && group.queued == 0 &&
      group.busy.empty() && group.provisioned == 0) {
    group.habits->last_use = std::max(group.habits->last_use, group.pace.last_return);
    last_group_ = nullptr;
    groups_.erase(std::string(group.key));
  }
}

Lease Pool::take_idle(const Runnable& runnable) {
  auto* found = find_group(runnable);
  if (found == nullptr) return nullptr;
  Group& group = *found;
  if (shares(group)) return group.waiters.empty() ? take_place(group) : nullptr;
  // Who came first goes first, and quick calls may be worth a moment of waiting.
  if (!group.idle.empty() && holds(group)) return nullptr;
  MonoTime now = deps_.loop.now();
  Lease environment = pop_idle(group, now);
  if (!environment) return nullptr;
  note_lease(group, *environment, now);
  keep_spares(group, now);
  return environment;
}

void Pool::note_busy(Group& group, bool more) {
  std::size_t& busy = group.habits->busy;
  if (more) {
    if (busy++ == 0) ++functions_at_work_;
  } else if (--busy == 0) {
    --functions_at_work_;
  }
}

void Pool::put_back(Lease environment) {
  Group& group = *groups_.find(environment->runnable().environments_key())->second;
  if (shares(group)) return return_place(group, *environment);
  std::erase_if(group.busy,
                [&](const Seat& seat) { return seat.environment == environment.get(); });
  note_busy(group, false);
  store_idle(group, std::move(environment));
}

Lease Pool::pop_idle(Group& group, MonoTime now) {
  while (!group.idle.empty()) {
    Lease environment = std::move(group.idle.back());
    group.idle.pop_back();
    if (environment->reusable()) {
      if (!environment->spare) group.habits->idle_times.note(now - environment->idle_since);
      return environment;
    }
    end(std::move(environment));
  }
  return nullptr;
}

// Where another environment costs little, the next caller of a function in use finds one.
void Pool::keep_spares(Group& group, MonoTime now) {
  if (shares(group)) return;
  bool in_use = now - std::exchange(group.leased_at, now) < in_use_within;
  if (!in_use || spares_missing(group) == 0) return;
  spares_due_.push_back(group.key);
  if (spare_timer_) return;
  spare_timer_ = deps_.loop.add_timer(now + spare_delay, [this] {
    spare_timer_.reset();
    make_due_spares();
  });
}

void Pool::make_due_spares() {
  // A start that fails at once may be the end of its group.
  for (const auto& key : std::exchange(spares_due_, {})) {
    auto found = groups_.find(key);
    for (std::size_t left = found == groups_.end() ? 0 : spares_missing(*found->second); left > 0;
         --left) {
      if (!slots_free() || !has_room(fork_share_bytes) || !machine_.at_ease()) return;
      spawn_start(*found->second, true);
      found = groups_.find(key);
      if (found == groups_.end()) break;
    }
  }
}

std::size_t Pool::spares_missing(const Group& group) const {
  auto wanted = static_cast<std::size_t>(std::max(0, deps_.settings.spares));
  if (group.idle.size() >= wanted || closing_ || group.retired) return 0;
  if (!templates_.has_own(*group.runnable) && !starts_cheaply(*group.runnable)) return 0;
  std::size_t asked = group.waiters.size() + wanted;
  return asked - std::min(asked, group.idle.size() + group.starting);
}

// The environment that proved a new template.
void Pool::adopt(Lease environment) {
  bool room = has_room(fork_share_bytes);
  auto found = groups_.find(environment->runnable().environments_key());
  auto* raw = environment.get();
  count(raw, fork_share_bytes);
  if (closing_ || !room || found == groups_.end()) return end(std::move(environment));
  environment->on_idle_exit = [this, raw] { idle_exited(raw); };
  if (environment->shares()) environment->on_place_free = [this, raw] { place_freed(raw); };
  environment->spare = true;
  deliver(*found->second, std::move(environment));
}

io::Task<Result<Lease>> Pool::wait(std::shared_ptr<const Runnable> runnable,
                                   const Request& request) {
  if (closing_) co_return fail(ErrorKind::cancelled, "the server is stopping");
  Group& group = group_of(runnable);
  Waiter waiter(deps_.loop, request);
  waiter.since = deps_.loop.now();
  waiter.held = holds(group);
  if (waiter.held) {
    group.waiters.push_back(&waiter);
    arm_hold(waiter.since + hold_stuck);
    send_ahead(group);
    co_await waiter.ready.wait();
  } else {
    if (auto room = check_waiting(group); !room) {
      forget_if_empty(group);
      co_return std::unexpected(std::move(room).error());
    }
    note_first_use(group, waiter.since);
    group.waiters.push_back(&waiter);
    std::shared_ptr<Habits> habits = group.habits;
    ++waiting_;
    ++habits->waiting;
    shares(group) ? ask_for_places(group) : ask_for_start(group);
    co_await waiter.ready.wait();
    --waiting_;
    --habits->waiting;
  }
  if (waiter.error) co_return std::unexpected(std::move(*waiter.error));
  co_return std::move(waiter.environment);
}

void Pool::count(Environment* environment, std::uint64_t bytes) {
  Duration life = deps_.settings.environment_life;
  life -= life / 160 * static_cast<int>(counted_++ % 16);
  environment->retires = deps_.loop.now() + life;
  environment->retires_platform = deps_.loop.clock().platform() + life;
  arm_retirement(environment->retires_platform);
  live_.emplace(environment, bytes);
  taken_bytes_ += bytes;
  machine_.promise(bytes);
  arm_watch(watch_every);
}

void Pool::deliver_error(Group& group, const Error& error) {
  // All that would have had a place in what did not start.
  for (int left = places(group); left > 0 && !group.waiters.empty(); --left) {
    Waiter* waiter = group.waiters.front();
    group.waiters.pop_front();
    waiter->error = error;
    waiter->ready.set();
  }
}

void Pool::hand_over(Group& group, Waiter& waiter, Lease environment, MonoTime now) {
  if (std::exchange(environment->spare, false) && group.starting > 0) ++group.swapped;
  note_lease(group, *environment, now);
  waiter.environment = std::move(environment);
  waiter.ready.set();
}

void Pool::deliver(Group& group, Lease environment) {
  if (shares(group)) return seat_shared(group, std::move(environment));
  if (!group.waiters.empty()) {
    Waiter* waiter = group.waiters.front();
    group.waiters.pop_front();
    hand_over(group, *waiter, std::move(environment), deps_.loop.now());
    send_ahead(group);
    return;
  }
  if (environment->reusable() && !group.retired && !closing_) {
    keep_idle(group, std::move(environment));
    return;
  }
  end(std::move(environment));
  forget_if_empty(group);
}

void Pool::give_back(Lease environment) {
  Group& group = *find_group(environment->runnable());  // stays while an environment is out
  if (shares(group)) return return_place(group, *environment);
  MonoTime now = deps_.loop.now();
  Seat seat = note_return(group, *environment, now);
  if (!environment->reusable()) call_back(group, seat);
  if (!seat.behind.empty()) {
    // The guest has the next event, or has taken it: that call begins where the last one ends, so
    // that what is read of the guest meanwhile belongs to one of them.
    Waiter& next = *seat.behind.front();
    seat.behind.erase(seat.behind.begin());
    environment->begin(next.request, next.number, now);
    hand_over(group, next, std::move(environment), now);
    group.busy.back().behind = std::move(seat.behind);
    send_ahead(group);
    return;
  }
  if (environment->reusable()) {
    deliver(group, std::move(environment));
    return;
  }
  end(std::move(environment));
  replace_ended(group);
  forget_if_empty(group);
}

// Spares are used last: a function grows by them.
void Pool::store_idle(Group& group, Lease environment) {
  auto at = environment->spare ? group.idle.begin() : group.idle.end();
  group.idle.insert(at, std::move(environment));
}

void Pool::end(Lease environment) {
  if (auto found = live_.extract(environment.get()); found) taken_bytes_ -= found.mapped();
  environment->on_idle_exit = nullptr;
  environment->on_place_free = nullptr;
  refill_later(Duration::zero());
  if (!start_queue_.empty()) arm_watch(Duration::zero());  // there may be room now
  tasks_.spawn(end_task(std::move(environment)));
}

io::Task<void> Pool::end_task(Lease environment) { co_await environment->end(); }

void Pool::idle_exited(Environment* environment) {
  auto found = groups_.find(environment->runnable().environments_key());
  if (found == groups_.end()) return;
  Group& group = *found->second;
  auto at = std::ranges::find(group.idle, environment, &Lease::get);
  if (at == group.idle.end()) return;
  Lease ended = std::move(*at);
  group.idle.erase(at);
  log::debug("invoke", "an idle environment of {} ended by itself", group.key);
  end(std::move(ended));
  forget_if_empty(group);
}

void Pool::retire(std::string_view concurrency_key, std::string_view keep_pool_key) {
  retire_where([&](const Runnable& runnable) {
    return runnable.concurrency_key == concurrency_key && runnable.pool_key != keep_pool_key;
  });
}

void Pool::retire_where(const std::function<bool(const Runnable&)>& is_old) {
  templates_.retire_where(is_old);
  habits_.forget_hops(is_old);
  std::vector<Group*> touched;
  for (auto& [key, group] : groups_) {
    if (!is_old(*group->runnable)) continue;
    group->retired = true;
    if (std::exchange(group->provisioned, 0) > 0) --provisioned_groups_;
    for (auto& environment : group->idle) end(std::move(environment));
    group->idle.clear();
    touched.push_back(group.get());
  }
  for (auto* group : touched) forget_if_empty(*group);
}

void Pool::refuse() {
  closing_ = true;
  templates_.refuse();
  if (sweep_timer_) deps_.loop.cancel_timer(*sweep_timer_);
  sweep_timer_.reset();
  if (retirement_timer_) deps_.loop.cancel_timer(*retirement_timer_);
  retirement_timer_.reset();
  if (spare_timer_) deps_.loop.cancel_timer(*spare_timer_);
  spare_timer_.reset();
  if (hold_timer_) deps_.loop.cancel_timer(*hold_timer_);
  hold_timer_.reset();
  if (refill_timer_) deps_.loop.cancel_timer(*refill_timer_);
  refill_timer_.reset();
  if (watch_timer_) deps_.loop.cancel_timer(*watch_timer_);
  watch_timer_.reset();
  for (auto& [key, group] : groups_) {
    // Nobody hears of an event that a guest has taken meanwhile: kill_all() follows.
    for (auto& seat : group->busy) {
      group->waiters.insert(group->waiters.end(), seat.behind.begin(), seat.behind.end());
      seat.behind.clear();
    }
    while (!group->waiters.empty()) {
      deliver_error(*group, Error{ErrorKind::cancelled, "the server is stopping", {}});
    }
    for (auto& environment : group->idle) end(std::move(environment));
    group->idle.clear();
  }
}

void Pool::kill_all() {
  for (auto& [environment, bytes] : live_) environment->doom();
}

io::Task<void> Pool::close() {
  kill_all();
  co_await templates_.close();
  co_await tasks_.drain(no_deadline);
  start_queue_.clear();
  last_group_ = nullptr;
  groups_.clear();
}

}  // namespace mayfly::invoke
