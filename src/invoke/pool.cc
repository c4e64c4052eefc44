#include "invoke/pool.h"

#include <algorithm>
#include <thread>

#include "base/log.h"

namespace mayfly::invoke {
namespace {

// What an interpreter at rest takes, roughly, and what one that shares its template's memory takes.
constexpr std::uint64_t environment_share_bytes = 64 * limits::mib;
constexpr std::uint64_t fork_share_bytes = 8 * limits::mib;
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
      tasks_(deps.loop) {
  if (room_bytes_ == 0) {
    room_bytes_ = std::max(environments_min * environment_share_bytes, machine_memory_bytes());
  }
  width_ = static_cast<std::size_t>(std::max(0, deps.settings.max_busy_with_quick_calls));
  if (width_ == 0) width_ = std::max(1u, std::thread::hardware_concurrency());
  if (max_starts_ == 0) max_starts_ = std::max(4u, 2 * std::thread::hardware_concurrency());
}

Pool::Group& Pool::group_of(const std::shared_ptr<const Runnable>& runnable) {
  if (!groups_.contains(runnable->environments_key())) {
    // Another configuration of the same version was changed into this one.
    retire_where([&](const Runnable& other) {
      return other.concurrency_key == runnable->concurrency_key &&
             other.version == runnable->version && other.pool_key != runnable->pool_key;
    });
  }
  auto& slot = groups_[runnable->environments_key()];
  if (!slot) {
    slot = std::make_unique<Group>();
    slot->key = runnable->environments_key();
  }
  slot->runnable = runnable;
  slot->retired = false;  // the same key is the same configuration
  return *slot;
}

void Pool::forget_if_empty(Group& group) {
  if (group.idle.empty() && group.waiters.empty() && group.starting == 0 && group.queued == 0 &&
      group.busy.empty() && group.provisioned == 0) {
    groups_.erase(std::string(group.key));
  }
}

Lease Pool::take_idle(const Runnable& runnable) {
  auto found = groups_.find(runnable.environments_key());
  if (found == groups_.end()) return nullptr;
  Group& group = *found->second;
  if (shares(group)) return group.waiters.empty() ? take_place(group) : nullptr;
  // Who came first goes first, and quick calls may be worth a moment of waiting.
  if (!group.idle.empty() && holds(group)) return nullptr;
  Lease environment = pop_idle(group);
  if (!environment) return nullptr;
  note_lease(group, *environment);
  keep_spares(group);
  return environment;
}

void Pool::put_back(Lease environment) {
  Group& group = *groups_.find(environment->runnable().environments_key())->second;
  if (shares(group)) return return_place(group, *environment);
  std::erase_if(group.busy,
                [&](const Seat& seat) { return seat.environment == environment.get(); });
  store_idle(group, std::move(environment));
}

Lease Pool::pop_idle(Group& group) {
  while (!group.idle.empty()) {
    Lease environment = std::move(group.idle.back());
    group.idle.pop_back();
    if (environment->reusable()) return environment;
    end(std::move(environment));
  }
  return nullptr;
}

// Where another environment costs little, the next caller of a function in use finds one.
void Pool::keep_spares(Group& group) {
  if (shares(group)) return;
  MonoTime now = deps_.loop.now();
  bool in_use = now - std::exchange(group.leased_at, now) < in_use_within;
  auto wanted = static_cast<std::size_t>(std::max(0, deps_.settings.spares));
  if (group.idle.size() >= wanted || !in_use || closing_ || group.retired) return;
  if (!templates_.has_own(*group.runnable) && !starts_cheaply(*group.runnable)) return;
  while (group.idle.size() + group.starting < group.waiters.size() + wanted) {
    if (starting_ >= max_starts_ || !has_room(fork_share_bytes)) return;
    ++group.starting;
    ++starting_;
    tasks_.spawn(start_one(group, true));
  }
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
  group.waiters.push_back(&waiter);
  waiter.held = holds(group);
  if (shares(group)) {
    ask_for_places(group);
  } else if (waiter.held) {
    waiter.since = deps_.loop.now();
    arm_hold(waiter.since + hold_stuck);
    send_ahead(group);
  } else {
    ask_for_start(group);
  }
  co_await waiter.ready.wait();
  if (waiter.error) co_return std::unexpected(std::move(*waiter.error));
  co_return std::move(waiter.environment);
}

void Pool::ask_for_start(Group& group) {
  if (group.queued++ == 0) start_queue_.push_back(&group);
  pump_starts();
}

void Pool::pump_starts() {
  while (starting_ < max_starts_ && !start_queue_.empty()) {
    Group& group = *start_queue_.front();
    start_queue_.pop_front();
    // In turns, so that a function that asks for many holds up no other.
    if (--group.queued > 0) start_queue_.push_back(&group);
    // Whoever asked may have been served by an environment that came back.
    if (group.waiters.size() <= group.starting * static_cast<std::size_t>(places(group))) {
      forget_if_empty(group);
      continue;
    }
    ++group.starting;
    ++starting_;
    tasks_.spawn(start_one(group));
  }
}

void Pool::count(Environment* environment, std::uint64_t bytes) {
  Duration life = deps_.settings.environment_life;
  environment->retires = deps_.loop.now() + life - life / 160 * static_cast<int>(counted_++ % 16);
  live_.emplace(environment, bytes);
  taken_bytes_ += bytes;
}

bool Pool::make_room(std::uint64_t bytes) {
  while (!has_room(bytes)) {
    if (!end_longest_idle([](const Runnable&) { return true; })) return false;
  }
  return true;
}

bool Pool::end_longest_idle(const std::function<bool(const Runnable&)>& of) {
  Group* oldest = nullptr;
  for (auto& [key, group] : groups_) {
    if (group->idle.empty() || dispensable(*group) == 0) continue;
    if (!of(*group->runnable)) continue;
    if (!oldest || group->idle.front()->idle_since < oldest->idle.front()->idle_since) {
      oldest = group.get();
    }
  }
  if (!oldest) return false;
  Lease victim = std::move(oldest->idle.front());
  oldest->idle.erase(oldest->idle.begin());
  end(std::move(victim));
  forget_if_empty(*oldest);
  return true;
}

Result<Lease> Pool::make_environment(Group& group) {
  if (closing_) return fail(ErrorKind::cancelled, "the server is stopping");
  TRY_ASSIGN(auto runtime, deps_.choose_runtime(group.runnable->runtime));
  auto origin = templates_.find(*group.runnable, *runtime.pack);
  std::uint64_t bytes = origin ? fork_share_bytes : environment_share_bytes;
  TRY(make_tenant_room(*group.runnable));
  TRY(make_capacity_room(*group.runnable));
  if (!make_room(bytes)) {
    return fail(ErrorKind::throttled,
                fmt::format("all {} environments this machine has room for are busy", live_.size()),
                "ConcurrentInvocationLimitExceeded");
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

io::Task<void> Pool::start_one(Group& group, bool spare) {
  if (group.runnable->snap_start && !templates_.has_own(*group.runnable)) {
    // Gone with a restart of the server or for want of memory, the snapshot is made anew. Its init
    // may take minutes, in which others start.
    --starting_;
    co_await templates_.snapshot(group.runnable);
    ++starting_;
  }
  auto made = make_environment(group);
  std::optional<Error> error;
  bool broken = false;
  if (made) {
    auto started = co_await (*made)->start();
    if (!started) error = std::move(started).error();
    broken = (*made)->broken();
    if (!error && !broken && !group.retired) {
      templates_.want(group.runnable, (*made)->runtime());
    }
  } else {
    error = std::move(made).error();
  }
  --group.starting;
  --starting_;
  std::size_t swapped = group.swapped;
  if (group.starting == 0) group.swapped = 0;
  note_start(group, error ? &*error : nullptr, broken);
  if (error) {
    if (made) end(std::move(*made));
    deliver_error(group, std::move(*error));
    forget_if_empty(group);
  } else {
    bool unasked = group.waiters.empty() && swapped > 0;
    if (unasked) group.swapped -= std::min<std::size_t>(group.swapped, 1);
    (*made)->spare = spare || unasked;
    deliver(group, std::move(*made));
  }
  pump_starts();
}

void Pool::deliver_error(Group& group, Error error) {
  // All that would have had a place in what did not start.
  for (int left = places(group); left > 0 && !group.waiters.empty(); --left) {
    Waiter* waiter = group.waiters.front();
    group.waiters.pop_front();
    waiter->error = error;
    waiter->ready.set();
  }
}

void Pool::hand_over(Group& group, Waiter& waiter, Lease environment) {
  if (std::exchange(environment->spare, false) && group.starting > 0) ++group.swapped;
  note_lease(group, *environment);
  waiter.environment = std::move(environment);
  waiter.ready.set();
}

void Pool::deliver(Group& group, Lease environment) {
  if (shares(group)) return seat_shared(group, std::move(environment));
  if (!group.waiters.empty()) {
    Waiter* waiter = group.waiters.front();
    group.waiters.pop_front();
    hand_over(group, *waiter, std::move(environment));
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
  auto found = groups_.find(environment->runnable().environments_key());
  Group& group = *found->second;  // a group stays while one of its environments is out
  if (shares(group)) return return_place(group, *environment);
  Seat seat = note_return(group, *environment);
  if (!environment->reusable()) call_back(group, seat);
  if (!seat.behind.empty()) {
    // The guest has the next event, or has taken it: that call begins where the last one ends, so
    // that what is read of the guest meanwhile belongs to one of them.
    Waiter& next = *seat.behind.front();
    seat.behind.pop_front();
    environment->begin(next.request, next.number);
    hand_over(group, next, std::move(environment));
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

void Pool::keep_idle(Group& group, Lease environment) {
  MonoTime now = deps_.loop.now();
  environment->idle_since = now;
  store_idle(group, std::move(environment));
  arm_sweep(now + std::min(deps_.settings.freeze_after, deps_.settings.idle_lifetime));
}

void Pool::end(Lease environment) {
  if (auto found = live_.extract(environment.get()); found) taken_bytes_ -= found.mapped();
  environment->on_idle_exit = nullptr;
  environment->on_place_free = nullptr;
  refill_later(Duration::zero());
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

void Pool::arm_sweep(MonoTime at) {
  if (sweep_timer_ && sweep_timer_->first <= at) return;
  if (sweep_timer_) deps_.loop.cancel_timer(*sweep_timer_);
  sweep_timer_ = deps_.loop.add_timer(at, [this] {
    sweep_timer_.reset();
    sweep();
  });
}

// One timer for all, set for the earliest that falls due: a call in quick succession touches none.
void Pool::sweep() {
  const auto& settings = deps_.settings;
  MonoTime now = deps_.loop.now();
  MonoTime next = MonoTime::max();
  std::vector<Group*> touched;
  for (auto& [key, group] : groups_) {
    std::size_t expirable = dispensable(*group);
    std::erase_if(group->idle, [&](Lease& environment) {
      MonoTime expires = environment->idle_since + settings.idle_lifetime;
      if (now >= expires && expirable > 0) {
        --expirable;
        end(std::move(environment));
        return true;
      }
      if (now >= environment->retires) {
        end(std::move(environment));
        return true;
      }
      next = std::min(next, environment->retires);
      if (now >= expires) expires = MonoTime::max();  // it is kept
      MonoTime freezes = environment->idle_since + settings.freeze_after;
      if (now >= freezes) environment->freeze();
      next = std::min({next, expires, now >= freezes ? MonoTime::max() : freezes});
      return false;
    });
    touched.push_back(group.get());
  }
  for (auto* group : touched) forget_if_empty(*group);
  if (next != MonoTime::max()) arm_sweep(next);
}

void Pool::retire(std::string_view concurrency_key, std::string_view keep_pool_key) {
  retire_where([&](const Runnable& runnable) {
    return runnable.concurrency_key == concurrency_key && runnable.pool_key != keep_pool_key;
  });
}

void Pool::retire_where(const std::function<bool(const Runnable&)>& is_old) {
  templates_.retire_where(is_old);
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
  if (hold_timer_) deps_.loop.cancel_timer(*hold_timer_);
  hold_timer_.reset();
  if (refill_timer_) deps_.loop.cancel_timer(*refill_timer_);
  refill_timer_.reset();
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
  groups_.clear();
}

}  // namespace mayfly::invoke
