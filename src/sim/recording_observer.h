// RecordingObserver: keeps what rooms reported, for tests to look at.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/observer.h"
#include "base/packed_line.h"

namespace mayfly::sim {

class RecordingObserver final : public Observer {
 public:
  struct Line {
    std::string stream;
    std::string request_id;
    std::string text;
    WallTime time;
    bool platform = false;
  };
  struct Invocation {
    std::string request_id;
    InvocationOutcome outcome;
    InvocationType type;
    Duration duration;
    std::optional<Duration> init_duration;
    std::optional<Duration> extensions;
    int memory_mb = 0;
    int max_memory_used_mb = 0;
    std::optional<Duration> cpu = {};
    std::optional<std::uint64_t> page_faults = {};
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
  };
  struct AsyncEvent {
    std::string function;
    AsyncStep step;
    Duration age;
  };
  std::vector<AsyncEvent> async_events;
  std::vector<Line> lines;
  std::vector<Invocation> invocations;
  int started = 0;
  int cold = 0;

  void log_line(const LogLine& line) override {
    lines.push_back({std::string(line.stream), std::string(line.request_id),
                     line.packed ? unpack_line(line.text) : std::string(line.text), line.time,
                     line.platform});
  }
  void invocation_started(const InvocationStart& start) override {
    ++started;
    if (start.cold) ++cold;
  }
  void invocation(const InvocationReport& r) override {
    invocations.push_back({std::string(r.request_id), r.outcome, r.type, r.duration,
                           r.init_duration, r.extensions, r.memory_mb, r.max_memory_used_mb, r.cpu,
                           r.page_faults, r.bytes_in, r.bytes_out});
  }
  void async_event(const AsyncEventReport& r) override {
    async_events.push_back({std::string(r.function), r.step, r.age});
  }
  void api_call(const ApiCallReport&) override {}

  long steps(AsyncStep step) const {
    return std::ranges::count(async_events, step, &AsyncEvent::step);
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    out.reserve(lines.size());
    for (const auto& line : lines) out.push_back(line.text);
    return out;
  }
};

}  // namespace mayfly::sim
