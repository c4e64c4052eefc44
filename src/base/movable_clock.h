// MovableClock: the machine's clock with a platform time that can be moved forward and frozen, so
// that whoever tests a program against this server waits for no retry and no retention.
//
// Made and moved by mayfly/ on the loop thread (a server in dev mode); read on any thread.
#pragma once

#include <atomic>
#include <optional>

#include "base/clock.h"

namespace mayfly {

class MovableClock final : public Clock {
 public:
  // How platform time stands to the machine's: shifted by `offset`, or still at `frozen_at`.
  struct Setting {
    Duration offset{};
    std::optional<WallTime> frozen_at{};
  };

  explicit MovableClock(const Clock& machine) : machine_(machine) {}

  WallTime wall() const override { return machine_.wall(); }
  MonoTime mono() const override { return machine_.mono(); }
  WallTime platform() const override {
    auto still = frozen_ns_.load();
    if (still != runs) return WallTime(Duration(still));
    return machine_.wall() + Duration(offset_ns_.load());
  }
  bool platform_runs() const override { return frozen_ns_.load() == runs; }
  Duration platform_offset() const override {
    auto still = frozen_ns_.load();
    if (still != runs) return WallTime(Duration(still)) - machine_.wall();
    return Duration(offset_ns_.load());
  }

  void advance(Duration by) {
    if (platform_runs()) {
      offset_ns_ += by.count();
    } else {
      frozen_ns_ += by.count();
    }
  }
  void freeze() {
    if (platform_runs()) frozen_ns_ = platform().time_since_epoch().count();
  }
  // Platform time goes on from where it stood.
  void unfreeze() {
    if (platform_runs()) return;
    offset_ns_ = platform_offset().count();
    frozen_ns_ = runs;
  }
  Setting setting() const {
    Setting out{.offset = Duration(offset_ns_.load())};
    if (auto still = frozen_ns_.load(); still != runs) out.frozen_at = WallTime(Duration(still));
    return out;
  }
  void set(const Setting& setting) {
    offset_ns_ = setting.offset.count();
    frozen_ns_ = setting.frozen_at ? setting.frozen_at->time_since_epoch().count() : runs;
  }

 private:
  static constexpr Duration::rep runs = Duration::min().count();
  const Clock& machine_;
  std::atomic<Duration::rep> offset_ns_{0};
  std::atomic<Duration::rep> frozen_ns_{runs};
};

}  // namespace mayfly
