// Quick calls: which requests wait for the environments at work, and whose events are sent ahead.
#include <algorithm>

#include "invoke/pool.h"

namespace mayfly::invoke {
namespace {

// A call this short is over before another process would have come to its turn.
constexpr auto quick_call = std::chrono::microseconds(150);
constexpr int pace_window = 32;
constexpr int pace_long_calls = 2;  // so many of them may be longer
// Events ahead of one environment: more would only wait longer.
constexpr std::size_t ahead_max = 16;
// Held requests look for another way after so much waiting, however many calls end meanwhile.
constexpr auto hold_most = std::chrono::milliseconds(20);
// Turns of the loop before a stop is believed: answers may wait unread when we were not running.
constexpr int looks_needed = 3;

}  // namespace

bool Pool::holds(const Group& group) const {
  if (shares(group)) return false;
  return group.busy.size() - group.slow >= width_ && group.pace.quick && !group.retired;
}

bool Pool::shares(const Runnable& runnable) const {
  const auto* found = find_group(runnable);
  if (found == nullptr) return false;
  const Group& group = *found;
  if (!shares(group)) return holds(group);
  auto asked = (group.starting + group.queued) * static_cast<std::size_t>(places(group));
  return group.waiters.size() < asked;
}

void Pool::note_lease(Group& group, Environment& environment, MonoTime now) {
  group.busy.push_back({.environment = &environment, .since = now, .behind = {}});
  note_busy(group, true);
  if (!group.habits->hops.empty()) prewarm_next(*group.habits);
  if (group.pace.quick && group.pace.silent) environment.prepare_ahead();
}

Pool::Seat Pool::note_return(Group& group, const Environment& environment, MonoTime now) {
  auto at = std::ranges::find(group.busy, &environment, &Seat::environment);
  Seat seat = std::move(*at);
  group.busy.erase(at);
  note_busy(group, false);
  if (seat.slow) --group.slow;
  note_pace(group, environment, now);
  return seat;
}

void Pool::note_pace(Group& group, const Environment& environment, MonoTime now) {
  auto& pace = group.pace;
  pace.last_return = now;
  pace.release = width_;
  if (environment.busy().value_or(Duration::max()) > quick_call) ++pace.long_calls;
  if (environment.wrote()) {
    ++pace.loud_calls;
    pace.silent = false;
  }
  if (++pace.calls < pace_window) return;
  pace.quick = pace.long_calls <= pace_long_calls;
  pace.silent = pace.loud_calls == 0;
  pace.calls = pace.long_calls = pace.loud_calls = 0;
}

// Whose turn it would be next go first, each to the environment with the fewest.
void Pool::send_ahead(Group& group) {
  if (!group.pace.quick || !group.pace.silent || group.retired || closing_) return;
  while (!group.waiters.empty() && group.waiters.front()->held) {
    Seat* best = nullptr;
    for (auto& seat : group.busy) {
      if (seat.slow || seat.behind.size() >= ahead_max || !seat.environment->takes_ahead())
        continue;
      if (best == nullptr || seat.behind.size() < best->behind.size()) best = &seat;
    }
    if (best == nullptr) return;
    Waiter* waiter = group.waiters.front();
    waiter->number = best->environment->send_ahead(waiter->request);
    if (waiter->number == 0) return;
    best->behind.push_back(waiter);
    group.waiters.pop_front();
  }
}

// Those whose events the guest has not taken are held again, in their old order.
void Pool::call_back(Group& group, Seat& seat) {
  if (seat.behind.empty()) return;
  seat.environment->recall();
  std::erase_if(seat.behind, [&](Waiter* waiter) {
    if (!seat.environment->withdraw(waiter->number)) return false;
    waiter->number = 0;
    auto later = std::ranges::find_if(
        group.waiters, [&](const Waiter* other) { return other->since > waiter->since; });
    group.waiters.insert(later, waiter);
    return true;
  });
}

// One environment less: somebody who is held goes another way.
void Pool::replace_ended(Group& group) {
  if (!holds(group)) serve_held(group, 1);
}

void Pool::arm_hold(MonoTime at) {
  if (hold_timer_) return;
  hold_timer_ = deps_.loop.add_timer(at, [this] {
    hold_timer_.reset();
    check_holds();
  });
}

MonoTime Pool::stuck_at(const Seat& seat) {
  if (seat.behind.empty()) return MonoTime::max();
  return std::max(seat.since, seat.behind.front()->since) + hold_stuck;
}

MonoTime Pool::stuck_at(const Group& group) {
  MonoTime out = MonoTime::max();
  auto oldest = std::ranges::find_if(group.waiters, &Waiter::held);
  if (oldest != group.waiters.end()) {
    MonoTime since = (*oldest)->since;
    out = std::min(std::max(group.pace.last_return, since) + hold_stuck, since + hold_most);
  }
  return out;
}

void Pool::check_holds() {
  bool last_look = ++looks_ >= looks_needed;
  MonoTime now = deps_.loop.now();
  MonoTime next = MonoTime::max();
  std::vector<std::string> stopped;  // by key: serving a waiter may forget its group
  for (auto& [key, group] : groups_) {
    MonoTime stuck = stuck_at(*group);
    for (const auto& seat : group->busy) stuck = std::min(stuck, stuck_at(seat));
    if (now < stuck) {
      next = std::min(next, stuck);
    } else {
      stopped.push_back(key);
    }
  }
  if (stopped.empty() || last_look) looks_ = 0;
  if (last_look) {
    for (const auto& key : stopped) {
      if (auto found = groups_.find(key); found != groups_.end()) release_holds(*found->second);
    }
    if (!stopped.empty()) next = std::min(next, now + hold_stuck);
  } else if (!stopped.empty()) {
    next = now;
  }
  if (next != MonoTime::max()) arm_hold(next);
}

void Pool::release_holds(Group& group) {
  MonoTime now = deps_.loop.now();
  bool all = now >= stuck_at(group);
  for (auto& seat : group.busy) {
    if (!all && now < stuck_at(seat)) continue;
    call_back(group, seat);
    if (!std::exchange(seat.slow, true)) ++group.slow;
  }
  if (holds(group)) return send_ahead(group);
  std::size_t count = std::max(group.pace.release, width_);
  group.pace.release = 2 * count;
  serve_held(group, count);
}

void Pool::serve_held(Group& group, std::size_t count) {
  std::size_t starts = 0;
  for (auto at = group.waiters.begin(); at != group.waiters.end() && count > 0;) {
    Waiter* waiter = *at;
    auto here = at++;
    if (!waiter->held) continue;
    --count;
    waiter->held = false;
    MonoTime now = deps_.loop.now();
    Lease idle = pop_idle(group, now);
    if (!idle) {
      ++starts;
      continue;
    }
    group.waiters.erase(here);
    hand_over(group, *waiter, std::move(idle), now);
  }
  while (starts-- > 0) ask_for_start(group);
}

}  // namespace mayfly::invoke
