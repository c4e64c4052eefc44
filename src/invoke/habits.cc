#include "invoke/habits.h"

#include <algorithm>
#include <cmath>

#include "invoke/invoker.h"

namespace mayfly::invoke {
namespace {

constexpr Duration keep_least = std::chrono::minutes(1);
constexpr std::uint32_t samples_needed = 8;
constexpr std::uint32_t samples_kept = 512;
constexpr std::size_t functions_kept = 4'096;
constexpr int calls_kept = 64;
constexpr double start_weight = 0.3;

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }
Duration duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}
// Where a bin ends.
double end_of(std::size_t bin) { return std::exp2(static_cast<double>(bin + 1) / 2); }

}  // namespace

std::size_t IdleTimes::bin_of(Duration idle) {
  double at = std::floor(2 * std::log2(std::max(1.0, seconds(idle))));
  return std::min(static_cast<std::size_t>(at), bins - 1);
}

void IdleTimes::note(Duration idle) {
  if (idle < shortest) return;
  if (idle > longest) {
    ++beyond_;
  } else {
    ++counts_[bin_of(idle)];
  }
  if (++sum_ < samples_kept) return;
  sum_ = beyond_ /= 2;
  for (auto& count : counts_) sum_ += count /= 2;
}

Duration IdleTimes::keep(Duration usual) const {
  Duration least = std::min(keep_least, usual);
  if (sum_ < samples_needed) return usual;
  // Most uses are too rare to be waited for.
  if (beyond_ * 2u > sum_) return least;
  std::uint32_t within = sum_ - beyond_;
  std::uint32_t left_out = within / 100;
  std::uint32_t seen = 0;
  for (std::size_t bin = 0; bin < bins; ++bin) {
    seen += counts_[bin];
    if (seen + left_out < within) continue;
    return std::clamp<Duration>(duration(end_of(bin)), least, longest);
  }
  return usual;
}

double IdleTimes::comes_back(Duration idle) const {
  double soon = 0;
  double later = beyond_;
  double from = seconds(idle);
  double minute = from + 60;
  for (std::size_t bin = 0; bin < bins; ++bin) {
    if (end_of(bin) <= from) continue;
    (end_of(bin) <= std::max(minute, end_of(bin_of(idle))) ? soon : later) += counts_[bin];
  }
  // One use more, of which nothing is known but that it becomes less likely.
  return (soon + 60 / (60 + from)) / (soon + later + 1);
}

void Habits::note_start(Duration took) {
  double now = seconds(took);
  start_seconds = start_seconds == 0 ? now : start_seconds + start_weight * (now - start_seconds);
}

void Habits::note_hop(const std::shared_ptr<const Runnable>& to) {
  auto found = std::ranges::find_if(
      hops, [&](const Hop& hop) { return hop.to->concurrency_key == to->concurrency_key; });
  if (found == hops.end()) {
    if (hops.size() == hops_max) {
      auto rarest = std::ranges::min_element(hops, {}, &Hop::calls);
      if (rarest->calls-- > 0) return;
      hops.erase(rarest);
    }
    if (hops.empty()) calls = 1;  // the one that makes this call
    hops.push_back({.to = to, .calls = 0});
    found = hops.end() - 1;
  }
  found->to = to;
  found->calls = std::min(found->calls + 1, calls_kept);
}

void Habits::note_call() {
  if (++calls < calls_kept) return;
  calls /= 2;
  for (auto& hop : hops) hop.calls /= 2;
}

std::shared_ptr<Habits> AllHabits::of(const std::string& concurrency_key) {
  auto found = known_.find(concurrency_key);
  if (found != known_.end()) return found->second;
  if (known_.size() >= functions_kept) {
    // A tenth at once, so that this is seldom; those in use are held by their groups.
    std::vector<MonoTime> uses;
    uses.reserve(known_.size());
    for (const auto& [key, habits] : known_) uses.push_back(habits->last_use);
    auto tenth = uses.begin() + static_cast<std::ptrdiff_t>(uses.size() / 10);
    std::ranges::nth_element(uses, tenth);
    std::erase_if(known_, [limit = *tenth](const auto& entry) {
      return entry.second.use_count() == 1 && entry.second->last_use <= limit;
    });
  }
  auto made = std::make_shared<Habits>();
  made->concurrency_key = concurrency_key;
  known_.emplace(concurrency_key, made);
  return made;
}

Habits* AllHabits::find(const std::string& concurrency_key) {
  auto found = known_.find(concurrency_key);
  return found == known_.end() ? nullptr : found->second.get();
}

void AllHabits::forget_hops(const std::function<bool(const Runnable&)>& to) {
  for (auto& [key, habits] : known_) {
    std::erase_if(habits->hops, [&](const Habits::Hop& hop) { return to(*hop.to); });
  }
}

}  // namespace mayfly::invoke
