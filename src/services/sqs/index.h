// Index: where the messages of one queue stand: ready, delayed, in flight, leaving. Knows no
// bodies, no store and no clock: times are given, so that the rules are tested by themselves.
//
//             add ──► delayed ──► ready ──take──► in flight ──leave──► leaving ──erase──► gone
//                         ▲         ▲                │  ▲                 │
//                         └─────────┴──── due ◄──────┘  └───── stay ◄─────┘
//
// A standard queue gives out the oldest ready message, but those of groups that have far more than
// their share in flight come last (SQS developer guide, "Amazon SQS fair queues"). A FIFO queue
// gives out the oldest of a group none of whose messages is in flight, and none that is older is
// delayed; in one take further ones of the same group may follow in order.
//
// Loop thread; owned by its Queue.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace mayfly::services::sqs {

class Index {
 public:
  enum class Kind { standard, fifo };
  enum class State { ready, delayed, in_flight, leaving };
  struct Lane;
  struct Item {
    std::uint64_t seq = 0;
    std::int64_t sent_ms = 0;
    std::int64_t until_ms = 0;     // delayed or in flight until then
    std::int64_t received_ms = 0;  // the last time
    std::int64_t first_ms = 0;     // the first time, 0: never
    std::uint64_t handle = 0;      // of the last receive
    std::uint32_t receives = 0;
    State state = State::ready;
    Lane* lane = nullptr;
  };
  // The messages of a group; those without one share a lane.
  struct Lane {
    std::string group;
    std::set<std::uint64_t> ready;
    std::set<std::uint64_t> delayed;
    std::size_t in_flight = 0;           // and leaving
    std::optional<std::uint64_t> place;  // in open_
  };
  struct New {
    std::uint64_t seq = 0;
    std::int64_t sent_ms = 0;
    std::int64_t delayed_until_ms = 0;
    std::uint32_t receives = 0;
    std::int64_t first_ms = 0;
    std::string group = {};
  };

  explicit Index(Kind kind) : kind_(kind) {}

  void add(const New& message, std::int64_t now_ms);
  // The next message, now in flight until `until_ms` with that handle; nullptr: none. Messages of
  // one receive are taken with the same `round`: in a FIFO queue they may be of one group.
  const Item* take(std::int64_t now_ms, std::int64_t until_ms, std::uint64_t handle,
                   std::uint64_t round);
  // As if it had not been taken just now.
  void put_back(std::uint64_t seq);
  // What fell due became ready; answers which.
  std::vector<std::uint64_t> wake(std::int64_t now_ms);
  // In flight until then (now or before: ready).
  void set_visibility(std::uint64_t seq, std::int64_t until_ms, std::int64_t now_ms);
  // Being removed: neither given out nor due any more. false: it is already, or not here.
  bool leave(std::uint64_t seq);
  void stay(std::uint64_t seq);  // the removal came to nothing: ready again
  void erase(std::uint64_t seq);
  // Sent before that; the oldest first, at most `most` (those that leave are left out).
  std::vector<std::uint64_t> sent_before(std::int64_t ms, std::size_t most) const;
  void clear();

  const Item* find(std::uint64_t seq) const;
  // The next time at which wake() has something to do, and when the oldest message was sent.
  std::optional<std::int64_t> next_due() const;
  std::optional<std::int64_t> oldest_sent() const;
  std::size_t size() const { return items_.size(); }
  std::size_t ready() const { return ready_; }
  std::size_t delayed() const { return delayed_; }
  std::size_t in_flight() const { return in_flight_; }  // and leaving
  // Something can be taken now.
  bool open() const { return !open_.empty(); }

 private:
  Lane& lane_of(const std::string& group);
  void tidy(Lane& lane);
  Lane* choose(std::uint64_t round);
  void make_ready(Item& item);
  void out_of_state(Item& item);

  Kind kind_;
  std::unordered_map<std::uint64_t, Item> items_;
  std::map<std::string, Lane, std::less<>> lanes_;
  std::set<std::pair<std::uint64_t, Lane*>> open_;        // by what each would give next
  std::set<std::pair<std::int64_t, std::uint64_t>> due_;  // delayed and in flight
  std::set<std::pair<std::int64_t, std::uint64_t>> ages_;
  std::size_t ready_ = 0;
  std::size_t delayed_ = 0;
  std::size_t in_flight_ = 0;
  std::uint64_t round_ = 0;  // the receive under way, and the group it took from last
  Lane* round_lane_ = nullptr;
};

}  // namespace mayfly::services::sqs
