// What the pool has learned of a function: how long its environments lie idle between two uses,
// what a start of one costs, and which functions it calls. It outlives the environments.
//
// Idle times are kept as a histogram, and environments for as long as nearly all idle times of the
// past (Shahrad et al., "Serverless in the Wild", USENIX ATC 2020; its pre-warming is left to
// templates, which make an environment within milliseconds). Loop thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace mayfly::invoke {

struct Runnable;

class IdleTimes {
 public:
  // Shorter ones say nothing of how long to keep an environment: every one is kept that long.
  static constexpr auto shortest = std::chrono::seconds(1);
  // Beyond: not waited for.
  static constexpr auto longest = std::chrono::hours(1);

  void note(Duration idle);
  // How long to keep an idle environment: as long as 99 of 100 idle times were, and `usual` while
  // little is known.
  Duration keep(Duration usual) const;
  // How likely it is that an environment idle for so long is used within the next minute: between
  // 0 and 1, to compare with others.
  double comes_back(Duration idle) const;

 private:
  static constexpr std::size_t bins = 24;  // each longer than the last by the square root of two
  static std::size_t bin_of(Duration idle);

  std::array<std::uint16_t, bins> counts_{};
  std::uint16_t beyond_ = 0;
  std::uint32_t sum_ = 0;  // of all; halved as it grows, so that new habits show
};

struct Habits {
  std::string concurrency_key;
  IdleTimes idle_times;
  double start_seconds = 0;  // of its starts, smoothed; 0: none yet
  MonoTime last_use{};       // when its last environment was given back or began to idle; 0: never
  // Now: environments at work and being made, those of the latter that have been for long, callers.
  std::size_t busy = 0;
  std::size_t starting = 0;
  std::size_t slow_starts = 0;
  std::size_t waiting = 0;

  // Functions that are called from it, and of how many of its calls.
  struct Hop {
    std::shared_ptr<const Runnable> to;
    int calls = 0;
  };
  static constexpr std::size_t hops_max = 4;
  std::vector<Hop> hops;
  int calls = 0;  // since the first hop was seen

  std::size_t at_work() const { return busy + starting; }
  void note_start(Duration took);
  void note_hop(const std::shared_ptr<const Runnable>& to);
  void note_call();  // only while there are hops
  bool usual(const Hop& hop) const { return hop.calls >= 3 && hop.calls * 2 >= calls; }
};

// Those of all functions; the ones that rested longest are forgotten where there are many.
class AllHabits {
 public:
  std::shared_ptr<Habits> of(const std::string& concurrency_key);
  // Null: nothing is known.
  Habits* find(const std::string& concurrency_key);
  void forget_hops(const std::function<bool(const Runnable&)>& to);

 private:
  std::unordered_map<std::string, std::shared_ptr<Habits>> known_;
};

}  // namespace mayfly::invoke
