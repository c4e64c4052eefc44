// Environments of several places: who gets one, and what becomes of those that are given back.
#include <algorithm>

#include "invoke/pool.h"

namespace mayfly::invoke {

Lease Pool::take_place(Seat& seat) {
  ++seat.calls;
  return seat.shared;
}

// Of those at work the fullest; then one at rest. Calls that ran out of time keep their places.
Lease Pool::take_place(Group& group) {
  Seat* best = nullptr;
  int fewest = 0;
  for (auto& seat : group.busy) {
    int free = places(group) - seat.calls - seat.environment->late();
    if (free <= 0 || !seat.environment->reusable()) continue;
    if (best != nullptr && free >= fewest) continue;
    best = &seat;
    fewest = free;
  }
  if (best != nullptr) return take_place(*best);
  if (group.idle.empty()) return nullptr;
  MonoTime now = deps_.loop.now();
  Lease idle = pop_idle(group, now);
  if (!idle) return nullptr;
  auto* environment = idle.get();
  group.busy.push_back(
      {.environment = environment, .since = now, .behind = {}, .shared = std::move(idle)});
  note_busy(group, true);
  return take_place(group.busy.back());
}

void Pool::serve_places(Group& group) {
  while (!group.waiters.empty()) {
    Lease place = take_place(group);
    if (!place) break;
    Waiter* waiter = group.waiters.front();
    group.waiters.pop_front();
    place->spare = false;
    waiter->environment = std::move(place);
    waiter->ready.set();
  }
  ask_for_places(group);
}

// As many starts as those who wait need, less what has been asked for.
void Pool::ask_for_places(Group& group) {
  auto each = static_cast<std::size_t>(places(group));
  while (!closing_ && group.waiters.size() > (group.starting + group.queued) * each) {
    ask_for_start(group);
  }
}

// One that has started. Where its Init failed, all that would have had a place hear of it.
void Pool::seat_shared(Group& group, Lease environment) {
  Environment& raw = *environment;
  group.busy.push_back({.environment = &raw,
                        .since = deps_.loop.now(),
                        .behind = {},
                        .shared = std::move(environment)});
  note_busy(group, true);
  Seat& seat = group.busy.back();
  while (raw.broken() && !group.waiters.empty() && seat.calls < places(group)) {
    Waiter* waiter = group.waiters.front();
    group.waiters.pop_front();
    waiter->environment = take_place(seat);
    waiter->ready.set();
  }
  settle_seat(group, raw);
}

void Pool::return_place(Group& group, const Environment& environment) {
  auto seat = std::ranges::find(group.busy, &environment, &Seat::environment);
  --seat->calls;
  settle_seat(group, environment);
}

// An environment that takes no call any more ends with its last one, and one without calls rests.
void Pool::settle_seat(Group& group, const Environment& environment) {
  bool usable = environment.reusable() && !closing_;
  if (usable) serve_places(group);
  auto seat = std::ranges::find(group.busy, &environment, &Seat::environment);
  if (seat->calls == 0) {
    Lease last = std::move(seat->shared);
    group.busy.erase(seat);
    note_busy(group, false);
    usable && !group.retired ? keep_idle(group, std::move(last)) : end(std::move(last));
  }
  if (!usable) serve_places(group);
  forget_if_empty(group);
}

// A version has so many environments, and those of a capacity provider so many processors in sum
// (MaxVCpuCount).
Result<> Pool::make_capacity_room(const Runnable& runnable) {
  auto same = [&](const auto& one) { return one.first->runnable().pool_key == runnable.pool_key; };
  if (runnable.most && std::ranges::count_if(live_, same) >= *runnable.most) {
    return fail(
        ErrorKind::throttled,
        fmt::format("all {} environments of {} are busy", *runnable.most, runnable.name.str()),
        "ConcurrentInvocationLimitExceeded");
  }
  if (runnable.capacity_key.empty()) return {};
  auto own = [&](const Runnable& other) { return other.capacity_key == runnable.capacity_key; };
  auto taken = [&] {
    std::int64_t sum = 0;
    for (const auto& [environment, bytes] : live_) {
      if (own(environment->runnable())) sum += environment->runnable().cpu_millis;
    }
    return sum;
  };
  while (taken() + runnable.cpu_millis > runnable.capacity_cpu_millis) {
    if (end_least_valuable(own)) continue;
    return fail(
        ErrorKind::throttled,
        fmt::format("the capacity provider of {} has all of its vCPUs in use", runnable.name.str()),
        "ConcurrentInvocationLimitExceeded");
  }
  return {};
}

void Pool::place_freed(Environment* environment) {
  auto found = groups_.find(environment->runnable().environments_key());
  if (found != groups_.end()) serve_places(*found->second);
}

}  // namespace mayfly::invoke
