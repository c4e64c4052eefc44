// Outbox: notifications on their way. A notification is a row of the commit that it tells of, and
// goes when its target has it: it is delivered once or more often, whatever happens to the process.
//
//   add ─► row n/SEQ, in the batch of the change ─► committed: go ─► Switchboard ─► the row goes
//                                                        ▲              │
//                                                        └── due ◄──────┘ throttled, unavailable
//
// Deliveries run side by side, in no order (as the cloud's). One that fails is tried again after
// 1 s, 2 s … 5 min, for a day of platform time; a target that is gone or denies the bucket is not.
//
// Loop thread. close() before destruction: what is under way is delivered after the next start.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "events/switchboard.h"
#include "services/s3/notifications.h"
#include "store/store.h"

namespace mayfly::services::s3 {

class Outbox {
 public:
  Outbox(io::Loop& loop, store::Store& store, const events::Switchboard& switchboard)
      : loop_(loop), store_(store), switchboard_(switchboard), tasks_(loop) {}

  // What an earlier process has left; deliveries begin with start().
  Result<> load();
  void start();
  io::Task<void> close();

  // Numbers that grow, whatever was forgotten before a restart: sequencers of events.
  std::uint64_t next_number();

  // Who is to be told of it, as rows of the batch. throttled: too much waits already.
  Result<std::vector<std::uint64_t>> add(const Bucket& bucket, const Happening& what,
                                         const Object& object, store::Batch& batch);
  // The batch is committed.
  void go(const std::vector<std::uint64_t>& numbers);

  std::size_t waiting() const { return waiting_; }

 private:
  void put(std::uint64_t number, const Bucket& bucket, const Happening& what, std::string arn,
           std::string payload, store::Batch& batch) const;
  void pump();
  io::Task<void> run(std::uint64_t number);
  io::Task<bool> deliver(std::uint64_t number);  // false: again later
  void again(std::uint64_t number);
  void forget(std::uint64_t number);
  io::Task<void> write_forgotten();
  void arm();
  void fire();
  std::int64_t now_ms() const { return epoch_millis(loop_.clock().platform()); }

  io::Loop& loop_;
  store::Store& store_;
  const events::Switchboard& switchboard_;
  bool started_ = false;
  bool closing_ = false;
  std::uint64_t last_number_ = 0;
  std::size_t waiting_ = 0;  // not delivered
  std::size_t running_ = 0;
  std::deque<std::uint64_t> ready_;
  std::map<std::uint64_t, int> attempts_;  // that have failed
  std::multimap<std::int64_t, std::uint64_t> due_;
  std::optional<io::Loop::PlatformTimerId> timer_;
  std::vector<std::uint64_t> forgotten_;  // rows that are to go
  bool writing_ = false;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::s3
