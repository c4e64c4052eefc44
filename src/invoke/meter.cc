#include "invoke/meter.h"

#include <algorithm>

namespace mayfly::invoke {
namespace {

constexpr auto worth_reading = std::chrono::milliseconds(1);
constexpr auto read_every = std::chrono::milliseconds(250);

}  // namespace

bool Meter::due(Duration spent, MonoTime now) const {
  return now - read_at_ >= read_every || (counts_ && spent >= worth_reading);
}

void Meter::begin(const sandbox::Stats& stats, MonoTime now) {
  if (stats.memory_peak_bytes == 0 && stats.cpu_ns == 0) return;
  counts_ = stats.cpu_ns > 0;
  begun_ = counts_ || std::exchange(asked_, true);
  cpu_ns_ = stats.cpu_ns;
  page_faults_ = stats.page_faults;
  charged_ns_ = 0;
  read_at_ = now;
}

Usage Meter::charge(Duration spent, std::optional<Duration> busy, const sandbox::Stats* stats,
                    MonoTime now) {
  Usage out;
  if (!counts_) {
    if (stats != nullptr) read_at_ = now;
    return out;
  }
  if (stats == nullptr) {
    out.cpu = std::min(spent, busy.value_or(spent));
    charged_ns_ += static_cast<std::uint64_t>(std::max<std::int64_t>(0, out.cpu->count()));
    return out;
  }
  // A jail that has ended may have no accounts any more.
  std::uint64_t used = stats->cpu_ns - std::min(stats->cpu_ns, cpu_ns_);
  out.cpu = Duration(static_cast<std::int64_t>(used - std::min(used, charged_ns_)));
  // The kernel brings them up to date from time to time.
  if (stats->page_faults > 0) {
    out.page_faults = stats->page_faults - std::min(stats->page_faults, page_faults_);
  }
  begin(*stats, now);
  counts_ = true;
  read_at_ = now;
  return out;
}

}  // namespace mayfly::invoke
