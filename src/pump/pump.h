// Pump: moves one Feed to one function: takes, filters, batches, pushes, acknowledges.
//
// Nothing is polled: the feed tells of arrivals, and timers end the batching window and backoffs.
// Batches in flight: 5 at first; while there is more to take than they carry, 300 more a minute up
// to 1,250 or what is set (Lambda developer guide, "Scaling and concurrency configuration for SQS
// event source mappings"). Order is the feed's business: it gives out nothing of a group of which
// something is taken.
//
// What becomes of a batch: success acknowledges it (or all but what the answer reports as failed);
// a function that fails leaves it to come back by itself; a push that is refused (throttled) is
// tried again, a second later and then twice as long each time, while the items are ours.
//
// With flow control (gate/flow.h) items are taken as they come and held until their turn: what is
// held stays in flight, longer than its visibility if need be.
//
// Loop thread. Times are platform times. stop(), then close() before destruction.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/limits.h"
#include "events/event.h"
#include "events/feed.h"
#include "gate/flow.h"
#include "io/park.h"
#include "wire/event_pattern.h"

namespace mayfly::pump {

struct Settings {
  std::size_t batch_items = 10;
  std::int64_t window_ms = 0;  // from the first item of a batch on
  bool report_failures = false;
  std::size_t batches_first = limits::mapping_batches_first;
  std::int64_t batches_per_minute = limits::mapping_batches_per_minute;
  std::size_t batches_max = limits::mapping_batches_max;
  std::vector<wire::EventPattern> filters = {};  // none: everything passes
  std::optional<gate::FlowSettings> flow = {};
};

// What becomes of items, for metrics (Lambda developer guide, "Event source mapping metrics").
enum class Step {
  polled,
  filtered_out,
  invoked,
  failed_invoke,
  deleted,
  dropped,  // by flow control: superseded or skipped
};

struct Call {
  std::string payload;
  std::string trace_header;
  std::shared_ptr<events::Effects> effects;  // what the function does is held back by it; or null
};
// Runs one batch. Errors: as those of Invoker::invoke.
using Push = std::function<io::Task<Result<events::Outcome>>(Call call)>;

class Pump {
 public:
  struct Deps {
    io::Loop& loop;
    std::shared_ptr<events::Feed> feed;
    Push push;
    // Whether a batch may be pushed now; whoever says no calls poke() when it may be otherwise.
    // Absent: always.
    std::function<bool()> may_push = {};
    std::function<void(Step, std::size_t items)> count = {};  // or absent
    // Whether the function's effects are to be held back and committed with its items. Absent: no.
    std::function<bool()> hold_effects = {};
  };
  Pump(Deps deps, Settings settings);
  ~Pump();

  void start();
  // Takes nothing more; what is being pushed goes on.
  void stop();
  // Until nothing is being pushed.
  io::Task<void> close();
  std::size_t running() const { return running_; }
  void poke() {
    if (started_) wake();
  }

 private:
  using Items = std::vector<events::Item>;

  std::int64_t now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }
  void wake();  // pumps at the end of this turn
  io::Task<void> pump_soon();
  void pump();
  void pump_flow();
  void absorb();
  void hold(events::Item item, std::vector<std::string>& dropped);
  Items release(const std::vector<std::string>& handles);
  void extend_held();
  bool may_run();
  // Until one more batch may be in flight.
  std::int64_t step_ms() const {
    return std::max<std::int64_t>(60'000 / settings_.batches_per_minute, 1);
  }
  void grow();
  bool fill();
  std::size_t allowed();
  void arm(std::int64_t at_ms);
  bool passes(const events::Item& item) const;
  io::Task<void> run(Items items, std::string flow_key);
  void count(Step step, std::size_t items) const {
    if (deps_.count && items > 0) deps_.count(step, items);
  }
  io::Task<Result<events::Outcome>> push(const Items& items,
                                         std::shared_ptr<events::Effects>& effects);
  io::Task<bool> acknowledge(std::vector<std::string> handles,
                             std::shared_ptr<events::Effects> effects = nullptr);
  io::Task<void> forget(std::vector<std::string> handles);
  io::Task<bool> pause(std::int64_t ms);

  Deps deps_;
  Settings settings_;
  std::unique_ptr<gate::Flow> flow_;                    // nullptr: items go in the order they come
  std::unordered_map<std::string, events::Item> held_;  // by it, by their handles
  std::int64_t extend_ms_ = 0;  // when what it holds must be extended; 0: it holds nothing
  Items gathered_;
  std::size_t gathered_bytes_ = 0;
  std::int64_t window_ends_ms_ = 0;
  std::size_t running_ = 0;
  std::int64_t full_since_ms_ = 0;  // when more was there than the batches in flight carry; 0: not
  bool started_ = false;
  bool waking_ = false;
  std::uint64_t watch_ = 0;
  std::optional<io::Loop::PlatformTimerId> timer_;
  io::TaskScope tasks_;
};

// Which of a batch an answer with ReportBatchItemFailures names as failed: their handles' places.
// nullopt: all of it failed (an answer that is not understood, or names what is not there).
std::optional<std::vector<std::size_t>> failed_items(std::string_view answer,
                                                     const std::vector<events::Item>& items);

}  // namespace mayfly::pump
