// Idle environments: how long they are kept, and which end first where there is not room for all.
#include <algorithm>

#include "invoke/pool.h"

namespace mayfly::invoke {
namespace {

// Of the machine's memory, for idle environments of all functions together.
constexpr std::uint64_t idle_share = 4;

}  // namespace

void Pool::keep_idle(Group& group, Lease environment) {
  MonoTime now = deps_.loop.now();
  environment->idle_since = now;
  store_idle(group, std::move(environment));
  arm_sweep(now + std::min(deps_.settings.freeze_after, deps_.settings.idle_lifetime));
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
  MonoTime now = deps_.loop.now();
  MonoTime next = MonoTime::max();
  std::vector<Group*> touched;
  for (auto& [key, group] : groups_) {
    std::size_t expirable = dispensable(*group);
    Duration keep = group->habits->idle_times.keep(deps_.settings.idle_lifetime);
    std::erase_if(group->idle, [&](Lease& environment) {
      MonoTime expires = environment->idle_since + keep;
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
      MonoTime freezes = environment->idle_since + deps_.settings.freeze_after;
      if (now >= freezes) environment->freeze();
      next = std::min({next, expires, now >= freezes ? MonoTime::max() : freezes});
      return false;
    });
    touched.push_back(group.get());
  }
  for (auto* group : touched) forget_if_empty(*group);
  if (next != MonoTime::max()) arm_sweep(next);
}

// Platform time is looked at when it has come, and not with every call.
void Pool::arm_retirement(WallTime at) {
  if (closing_ || (retirement_timer_ && retirement_timer_->first <= at)) return;
  if (retirement_timer_) deps_.loop.cancel_timer(*retirement_timer_);
  retirement_timer_ = deps_.loop.add_platform_timer(at, [this] {
    retirement_timer_.reset();
    retire_aged();
  });
}

void Pool::retire_aged() {
  WallTime now = deps_.loop.clock().platform();
  WallTime next = WallTime::max();
  for (auto& [environment, bytes] : live_) {
    if (environment->retires_platform <= now) {
      environment->retires = std::min(environment->retires, deps_.loop.now());
    } else {
      next = std::min(next, environment->retires_platform);
    }
  }
  if (next != WallTime::max()) arm_retirement(next);
  sweep();
}

// A function that had no environment: how long nobody called it.
void Pool::note_first_use(Group& group, MonoTime now) {
  MonoTime last = std::max(group.habits->last_use, group.pace.last_return);
  if (alive(group) > 0 || !group.waiters.empty() || last == MonoTime{}) return;
  group.habits->idle_times.note(now - last);
}

// What ending it would cost: the start that the next caller waits for, if one is likely to come
// soon, by the memory it takes.
double Pool::value_of(const Group& group, const Environment& environment, MonoTime now) const {
  auto bytes = static_cast<double>(live_.find(const_cast<Environment*>(&environment))->second);
  const Habits& habits = *group.habits;
  return habits.idle_times.comes_back(now - environment.idle_since) * habits.start_seconds / bytes;
}

bool Pool::end_least_valuable(const std::function<bool(const Runnable&)>& of_whom) {
  MonoTime now = deps_.loop.now();
  Group* of = nullptr;
  std::size_t at = 0;
  double least = 0;
  for (auto& [key, group] : groups_) {
    if (group->idle.empty() || dispensable(*group) == 0) continue;
    if (of_whom && !of_whom(*group->runnable)) continue;
    for (std::size_t i = 0; i < group->idle.size(); ++i) {
      const Environment& one = *group->idle[i];
      double value = value_of(*group, one, now);
      if (of && (value > least || (value == least && one.idle_since >= of->idle[at]->idle_since))) {
        continue;
      }
      of = group.get();
      at = i;
      least = value;
    }
  }
  if (!of) return false;
  Lease victim = std::move(of->idle[at]);
  of->idle.erase(of->idle.begin() + static_cast<std::ptrdiff_t>(at));
  end(std::move(victim));
  forget_if_empty(*of);
  return true;
}

bool Pool::make_room(std::uint64_t bytes) {
  while (!has_room(bytes)) {
    if (!end_least_valuable(nullptr)) return false;
  }
  return true;
}

// Environments count by the memory they were last seen to have.
void Pool::weigh() {
  for (auto& [environment, bytes] : live_) {
    auto own = environment->own_memory_bytes();
    if (!own) continue;
    taken_bytes_ -= bytes;
    bytes = *own + jail_share_bytes;
    taken_bytes_ += bytes;
  }
}

// Within their bound, and within what the machine can spare.
void Pool::keep_idle_within_memory() {
  std::uint64_t idle = 0;
  for (const auto& [key, group] : groups_) {
    if (dispensable(*group) == 0) continue;
    for (const auto& environment : group->idle) idle += live_.find(environment.get())->second;
  }
  std::uint64_t most = deps_.settings.idle_memory_bytes;
  static const std::uint64_t share = machine_memory_bytes() / idle_share;
  if (most == 0) most = share;
  std::uint64_t excess = std::max(idle - std::min(idle, most), machine_.wanted_bytes());
  std::uint64_t target = taken_bytes_ - std::min(taken_bytes_, std::min(excess, idle));
  while (taken_bytes_ > target && end_least_valuable(nullptr)) {
  }
}

}  // namespace mayfly::invoke
