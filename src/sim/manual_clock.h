// A clock that a test moves by hand. Wall time starts at 2026-01-01T00:00:00Z.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace mayfly::sim {

class ManualClock final : public Clock {
 public:
  WallTime wall() const override {
    return WallTime(std::chrono::seconds(1'767'225'600)) + Duration(passed_.load());
  }
  MonoTime mono() const override { return MonoTime(Duration(passed_.load() + 1)); }
  void advance(Duration time) { passed_ += time.count(); }

 private:
  std::atomic<Duration::rep> passed_{0};
};

}  // namespace mayfly::sim
