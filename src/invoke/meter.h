// Meter: what one call took of the machine, by the accounts of its environment's control group.
// Owned by an Environment.
//
// Reading the accounts costs some 20 µs, which a call of 30 µs is not worth: after calls that are
// over in a moment they are read from time to time. Such a call is charged the time that its guest
// was busy, and the next reading charges what is left.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "invoke/log_text.h"
#include "sandbox/sandbox.h"

namespace mayfly::invoke {

class Meter {
 public:
  // Whether to read the accounts after a call of this length.
  bool due(Duration spent, MonoTime now) const;
  // What has been used up to now belongs to no call: the init.
  void begin(const sandbox::Stats& stats, MonoTime now);
  // False: there were no accounts then; a fork may be ready before its jail is known to be there.
  bool begun() const { return begun_; }
  // The part of the call that ends now. `stats`: just read, or null. `busy`: as the guest told.
  Usage charge(Duration spent, std::optional<Duration> busy, const sandbox::Stats* stats,
               MonoTime now);

 private:
  bool counts_ = false;  // the machine counts processor time
  bool asked_ = false;
  bool begun_ = false;
  MonoTime read_at_{};
  std::uint64_t cpu_ns_ = 0;  // at the latest reading
  std::uint64_t page_faults_ = 0;
  std::uint64_t charged_ns_ = 0;  // since, without reading
};

}  // namespace mayfly::invoke
