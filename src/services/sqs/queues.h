// Queues: all queues of the server, loaded at start; makes, changes and deletes them.
//
// Rows: queue/ACCOUNT/REGION/NAME → the record of a queue; gone/ID → a deleted queue whose messages
// are still to be erased. What a purge or a deletion leaves is erased in the background, also after
// a restart; nobody sees it meanwhile.
//
// Loop thread; owned by mayfly/. release() before front/ closes, so that nobody waits any more and
// nothing more is brought to other services; close() after.
#pragma once

#include "events/effects.h"
#include "services/sqs/carrier.h"
#include "services/sqs/moves.h"
#include "services/sqs/queue.h"

namespace mayfly::services::sqs {

class Queues {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    CountStep count{};  // or absent
  };
  explicit Queues(Deps deps);
  ~Queues();
  static Result<std::unique_ptr<Queues>> open(Deps deps);

  std::shared_ptr<Queue> find(const QueueRef& ref) const;
  std::shared_ptr<Queue> find(std::string_view arn) const;
  // Of one account and region, in the order of their names, after `after`.
  std::vector<std::shared_ptr<Queue>> list(const Scope& scope, std::string_view prefix,
                                           std::string_view after, std::size_t most) const;
  // already_exists: somebody was faster.
  io::Task<Result<std::shared_ptr<Queue>>> create(QueueRef ref, Attributes attributes,
                                                  Settings settings,
                                                  std::map<std::string, std::string> tags);
  // Durable; `change` may be called more than once.
  io::Task<Result<>> update(std::shared_ptr<Queue> queue, std::function<void(Info&)> change);
  io::Task<Result<>> purge(std::shared_ptr<Queue> queue);
  io::Task<Result<>> remove(std::shared_ptr<Queue> queue);
  // Queues whose dead letters go to that one.
  std::vector<std::shared_ptr<Queue>> sources_of(const QueueRef& ref) const;
  // For an invocation whose sends go with the deletion of messages of `from`, or without.
  std::shared_ptr<events::Effects> stage(std::shared_ptr<Queue> from);
  Carrier& carrier() { return carrier_; }
  // As Queue::watch, of the queue that has that name now, and of each that gets it later.
  std::uint64_t watch(const QueueRef& ref, Queue::Arrival call);
  void unwatch(std::uint64_t id);
  Moves& moves() { return moves_; }
  std::size_t size() const { return queues_.size(); }
  std::vector<std::shared_ptr<Queue>> all() const;

  void release();
  io::Task<void> close();

 private:
  struct Watcher {
    QueueRef ref;
    Queue::Arrival call;
    std::weak_ptr<Queue> on;
    std::uint64_t id = 0;  // there
  };
  Result<> load();
  Queue::Deps queue_deps();
  io::Task<void> erase_rows(std::string prefix, std::string through, std::string then_delete);

  Deps deps_;
  std::map<QueueRef, std::shared_ptr<Queue>> queues_;
  std::set<std::shared_ptr<Queue>> changing_;
  io::ParkingLot changed_;
  std::map<std::uint64_t, Watcher> watchers_;
  std::uint64_t next_watcher_ = 1;
  Moves moves_;
  Carrier carrier_;
  bool released_ = false;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::sqs
