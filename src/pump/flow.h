// Flow: which of the items that were taken may go now, where a mapping controls their flow by key:
// how many batches of one key at a time, how many items in a period, after how long a quiet, only
// one at a time, in which order. A batch has items of one key alone.
//
//   offer ─► held ─► next ─► (its batch runs) ─► finished
//              └─► superseded (debounce) or skipped (singleton): its handle comes back at once
//
// What is held is bounded (limits::flow_held_items, flow_held_bytes): then nothing more is taken.
// All times are milliseconds of platform time. Pure; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "events/feed.h"

namespace mayfly::pump {

struct FlowSettings {
  // Members of the record that lead to the key, "body.customer"; empty: all items have one key.
  // A body that is JSON is read as such. An item without it has the key "".
  std::string key_path = {};
  int concurrency = 0;     // batches of a key at a time; 0: any number
  int throttle_items = 0;  // of a key in throttle_ms; 0: any number
  std::int64_t throttle_ms = 0;
  std::int64_t debounce_ms = 0;      // the last item of a key goes after so long without another …
  std::int64_t debounce_max_ms = 0;  // … or so long after the first; 0: without that bound
  bool singleton = false;            // while one of a key waits or runs, others are skipped
  std::string priority_path = {};    // to a number; the greatest goes first. Without it: 0
  bool operator==(const FlowSettings&) const = default;
};

// From the tags of a mapping: mayfly:key, mayfly:concurrency ("2"), mayfly:throttle ("10/1m"),
// mayfly:debounce ("5s" or "5s/60s"), mayfly:singleton ("skip"), mayfly:priority. nullopt: none of
// them is there. Kind invalid for what is not understood, other tags "mayfly:…" too.
Result<std::optional<FlowSettings>> read_flow(const std::map<std::string, std::string>& tags);

class Flow {
 public:
  struct Batching {
    std::size_t items = 10;
    std::size_t bytes = SIZE_MAX;  // of records and the commas between them
    std::int64_t window_ms = 0;
  };
  struct Batch {
    std::string key;
    std::vector<events::Item> items;
  };
  Flow(FlowSettings settings, Batching batching);

  // The handles of what will never go.
  std::vector<std::string> offer(events::Item item, std::int64_t now_ms);
  // The next batch that may go, if there is one. finished() when it has come to its end.
  std::optional<Batch> next(std::int64_t now_ms);
  void finished(const std::string& key, std::int64_t now_ms);
  // When next() may have something that it has not now, by time alone; INT64_MAX: never.
  std::int64_t wakes_ms() const { return later_.empty() ? INT64_MAX : later_.begin()->first; }
  // How many more items may be offered, and of how many bytes.
  std::size_t room_items() const;
  std::size_t room_bytes() const;
  std::size_t held() const { return held_; }
  // For each held item `keep` says until when it stays away from others, or nothing: it is not ours
  // any more, and forgotten.
  void extend(const std::function<std::optional<std::int64_t>(const events::Item&)>& keep,
              std::int64_t now_ms);
  void clear();

 private:
  struct Rank {
    double priority = 0;
    std::uint64_t number = 0;  // the order of arrival
    // The greatest priority first, then the longest wait.
    bool operator<(const Rank& other) const {
      return priority != other.priority ? priority > other.priority : number < other.number;
    }
  };
  struct Held {
    events::Item item;
    std::int64_t since_ms = 0;
  };
  struct Lane {
    std::map<Rank, Held> items;
    int running = 0;
    double tokens = 0;           // throttle: items that may go …
    std::int64_t tokens_ms = 0;  // … at that time
    std::int64_t first_ms = 0;   // debounce: the first that was superseded
    // Where it stands: in ready_ (by this rank), or in later_ (by this time), or in neither.
    std::optional<Rank> ready{};
    std::int64_t later_ms = 0;
  };
  using Lanes = std::unordered_map<std::string, Lane>;

  void place(const std::string& key, Lane& lane, std::int64_t now_ms);
  void unplace(const std::string& key, Lane& lane);
  std::optional<std::int64_t> ready_at(Lane& lane, std::int64_t now_ms) const;
  void refill(Lane& lane, std::int64_t now_ms) const;
  bool full(const Lane& lane) const;

  FlowSettings settings_;
  Batching batching_;
  Lanes lanes_;
  std::map<Rank, std::string> ready_;                     // lanes of which a batch may go
  std::set<std::pair<std::int64_t, std::string>> later_;  // by when they may
  std::size_t held_ = 0;
  std::size_t held_bytes_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace mayfly::pump
