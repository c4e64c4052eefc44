// Flow: which of the items that wait may go now, where their flow is controlled by key: how many
// batches of one key at a time, how many items in a period, after how long a quiet, only one at a
// time, in which order. A batch has items of one key alone.
//
//   offer ─► held ─► next ─► (its batch runs) ─► finished
//              └─► superseded (debounce) or skipped (singleton): its handle comes back at once
//
// It knows items by their handles; whoever offers them keeps them. What is held is bounded
// (limits::flow_held_items, flow_held_bytes): then nothing more is to be offered.
// All times are milliseconds of platform time. Pure; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace mayfly::gate {

struct FlowSettings {
  // Members of the record that lead to the key, "body.customer"; empty: all items have one key.
  // A member that is a text which holds JSON is read as such. An item without it has the key "".
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

using Tags = std::map<std::string, std::string>;
// From tags: mayfly:key, mayfly:concurrency ("2"), mayfly:throttle ("10/1m"), mayfly:debounce ("5s"
// or "5s/60s"), mayfly:singleton ("skip"), mayfly:priority. nullopt: none of them is there. Kind
// invalid for what is not understood, other tags "mayfly:…" too unless they are among `others`.
Result<std::optional<FlowSettings>> read_flow(const Tags& tags,
                                              std::span<const std::string_view> others = {});

// Kind invalid for a tag "mayfly:…" that is not among `known`; `what`: "a rule", for the message.
Result<> check_known(const Tags& tags, std::span<const std::string_view> known,
                     std::string_view what);

// What of an item its flow goes by.
struct Mark {
  std::string key;  // one of more than limits::flow_key_bytes is known by its hash
  double priority = 0;
};
// `record`: JSON. Members of an array are named by their places, "Records.0.body".
Mark mark_of(const FlowSettings& settings, std::string_view record);

class Flow {
 public:
  struct Batching {
    std::size_t items = 10;
    std::size_t bytes = SIZE_MAX;  // of records and the commas between them
    std::int64_t window_ms = 0;
  };
  struct Entry {
    std::string handle;
    Mark mark;
    std::size_t record_bytes = 0;  // of a batch
    std::size_t held_bytes = 0;    // of memory, while it is held
    std::int64_t since_ms = 0;     // when it came
    std::int64_t first_ms = 0;     // debounce: when the first came that it has superseded; 0: none
    // It was let through before and comes once more: never superseded nor skipped.
    bool again = false;
  };
  struct Offered {
    std::vector<std::string> dropped;  // the handles of what will never go
    std::int64_t first_ms = 0;         // as Entry's, of the one that is held now
  };
  struct Batch {
    std::string key;
    std::vector<std::string> handles;
  };
  struct Finish {
    bool ran = true;           // else it takes nothing off a throttle
    bool comes_again = false;  // with Entry::again; until then it counts as one that waits
  };
  Flow(FlowSettings settings, Batching batching);

  const FlowSettings& settings() const { return settings_; }
  Offered offer(Entry entry, std::int64_t now_ms);
  // One that was let through by an earlier process comes again.
  void expect(const std::string& key) { ++lanes_[key].awaited; }
  // Whether next() has something now.
  bool ready(std::int64_t now_ms);
  // The next batch that may go, if there is one. finished() when it has come to its end.
  std::optional<Batch> next(std::int64_t now_ms);
  void finished(const std::string& key, std::int64_t now_ms, Finish how);
  void finished(const std::string& key, std::int64_t now_ms) { finished(key, now_ms, {}); }
  // When next() may have something that it has not now, by time alone; INT64_MAX: never.
  std::int64_t wakes_ms() const { return later_.empty() ? INT64_MAX : later_.begin()->first; }
  // How many more items may be offered, and of how many bytes.
  std::size_t room_items() const;
  std::size_t room_bytes() const;
  std::size_t held() const { return held_; }
  // Nothing is held, nothing runs, and no throttle remembers anything.
  bool idle() const { return lanes_.empty(); }
  // Of held items those that are not kept are forgotten.
  void keep_if(const std::function<bool(const std::string& handle)>& keep, std::int64_t now_ms);
  // Forgets one held item of a key.
  void take_out(const std::string& key, std::string_view handle, std::int64_t now_ms);
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
    std::string handle;
    std::size_t record_bytes = 0;
    std::size_t held_bytes = 0;
    std::int64_t since_ms = 0;
    bool again = false;
  };
  struct Lane {
    std::map<Rank, Held> items;
    int running = 0;
    int awaited = 0;             // that come again
    double tokens = -1;          // throttle: items that may go …; below 0: not yet counted
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
  void let_go(const Held& held) {
    --held_;
    held_bytes_ -= held.held_bytes;
  }
  std::int64_t supersede(Lane& lane, const Entry& by, std::vector<std::string>& dropped);

  FlowSettings settings_;
  Batching batching_;
  Lanes lanes_;
  std::map<Rank, std::string> ready_;                     // lanes of which a batch may go
  std::set<std::pair<std::int64_t, std::string>> later_;  // by when they may
  std::size_t held_ = 0;
  std::size_t held_bytes_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace mayfly::gate
