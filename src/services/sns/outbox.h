// Outbox: messages on their way to subscriptions. What put() has acknowledged is on the disk and is
// delivered, once or more often, whatever happens to the process; a message is forgotten when every
// subscription is done with it.
//
//   put ─► row msg/SEQ ─► lanes ─► deliver ─► done: the row goes with the last of its deliveries
//                           ▲          │
//                           └── due ◄──┘ again after a time (row state/SEQ: who is left, and when)
//
// A lane is a subscription's; with order, a subscription's group. A lane without order has up to
// limits::sns_deliveries_at_once deliveries under way, and what failed waits beside it; one with
// order has one, and everything behind it waits with it. A subscription with a rate starts no more
// than so many a second.
//
// Only the message's row is synced before put() answers. That a delivery is done, or has failed, is
// written without waiting for the disk: what a crash forgets is delivered again.
//
// Loop thread. close() before destruction: deliveries under way are left undone.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "gate/parked.h"
#include "io/park.h"
#include "services/sns/message.h"
#include "store/store.h"

namespace mayfly::services::sns {

// How an attempt ended: done (delivered or given up), or to be tried again.
struct Verdict {
  bool done = true;
  std::int64_t again_after_ms = 0;
  bool attempt_counts = true;
  // Not 0: it was not tried, and waits at its circuit breaker, until then at the most.
  std::int64_t waits_until_ms = 0;
};

class Outbox {
 public:
  struct Deps {
    io::Loop& loop;
    store::Store& store;
    // `attempts`: that have failed before.
    std::function<io::Task<Verdict>(std::shared_ptr<const Message>, std::uint64_t subscription,
                                    std::int64_t attempts)>
        deliver;
    // Deliveries per second of a subscription; 0: any number.
    std::function<std::int64_t(std::uint64_t subscription)> rate;
    // How many deliveries of a subscription its circuit breaker lets through.
    std::function<std::size_t(std::uint64_t subscription)> room = {};
    std::size_t most = limits::sns_deliveries;  // that wait
    std::size_t cached_bytes = limits::sns_cached_bytes;
  };
  explicit Outbox(Deps deps);
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // What an earlier process has left; calls `seen` with each number. Deliveries begin with start().
  Result<> load(const std::function<void(std::uint64_t seq)>& seen);
  void start();

  struct Addressed {
    Message message;
    std::vector<std::uint64_t> to;  // subscriptions; none: nothing is kept of the message
  };
  // All or none, together with `also`. Kind throttled: too much waits already.
  io::Task<Result<>> put(std::vector<Addressed> messages, store::Batch also);

  // What waits at the circuit breaker of a subscription goes on, as far as that has room.
  void let_through(std::uint64_t subscription);

  std::size_t waiting() const { return count_; }  // deliveries that are not done
  io::Task<void> close();

 private:
  struct Left {  // of one subscription
    std::int64_t attempts = 0;
    std::int64_t due_ms = 0;
  };
  struct Pending {
    std::map<std::uint64_t, Left> left;
    std::string group;
    std::shared_ptr<const Message> message;  // nullptr: in the store alone
    std::size_t bytes = 0;                   // of it, while it is here
    bool touched = false;                    // somebody is left with failed attempts
  };
  using LaneKey = std::pair<std::uint64_t, std::string>;  // subscription, group
  struct Lane {
    std::deque<std::uint64_t> ready;  // messages
    std::size_t running = 0;
    bool held = false;         // with order: the first one waits for its time
    std::int64_t next_ms = 0;  // with a rate: no start before
    bool waiting_for_rate = false;
  };
  struct Due {
    LaneKey lane;
    std::uint64_t seq = 0;  // 0: the lane waits for its rate
  };

  Result<> load_one(const store::Row& row, std::uint64_t seq);
  void keep(std::uint64_t seq, Pending pending);
  void remember(Pending& pending, Message message);
  void enqueue(std::uint64_t seq, std::uint64_t subscription);
  void pump(const LaneKey& key);
  bool may_start(const LaneKey& key, Lane& lane);
  io::Task<void> run(LaneKey key, std::uint64_t seq);
  void go_on(const Due& due);
  void settle(const LaneKey& key, std::uint64_t seq, const Verdict& verdict);
  void finish(std::uint64_t seq, std::uint64_t subscription);
  std::shared_ptr<const Message> message_of(std::uint64_t seq);
  void release(Pending& pending);
  void await(std::int64_t due_ms, Due due);
  void arm();
  void fire();
  void note(std::uint64_t seq);
  io::Task<void> write_notes();
  std::int64_t now_ms() const;
  static bool has_order(const LaneKey& key) { return !key.second.empty(); }

  Deps deps_;
  bool started_ = false;
  bool closing_ = false;
  std::size_t count_ = 0;
  std::size_t cached_bytes_ = 0;
  std::map<std::uint64_t, Pending> pending_;
  std::map<LaneKey, Lane> lanes_;
  std::multimap<std::int64_t, Due> due_;
  gate::Parked<Due> parked_;  // by the subscription's number
  std::optional<io::Loop::PlatformTimerId> timer_;
  std::map<std::uint64_t, bool> notes_;  // messages whose rows are to be written (true) or to go
  bool writing_ = false;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::sns
