// Topics: all topics and subscriptions of this server, in memory and in the store.
//
// Loop thread. Outlives the service's handlers and the Outbox; close() before destruction.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "io/park.h"
#include "services/sns/topic.h"
#include "store/store.h"

namespace mayfly::services::sns {

class Topics {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
  };
  explicit Topics(Deps deps) : deps_(deps), changed_(deps.loop), tasks_(deps.loop) {}
  // What an earlier process has left. Before anything else.
  Result<> load();

  std::shared_ptr<Topic> find(const TopicRef& ref) const;
  std::shared_ptr<Topic> find(std::string_view arn) const;
  // Of that account and region, after `after` by name.
  std::vector<std::shared_ptr<Topic>> list(const Scope& scope, std::string_view after,
                                           std::size_t most) const;
  std::size_t count(const Scope& scope, bool fifo) const {
    auto found = counts_.find({scope, fifo});
    return found == counts_.end() ? 0 : found->second;
  }

  std::shared_ptr<const Subscription> subscription(const SubscriptionRef& ref) const;
  std::shared_ptr<const Subscription> by_number(std::uint64_t number) const;
  // Those an account has made in a region, by ARN, after `after`; ended ones are left out.
  std::vector<std::shared_ptr<const Subscription>> subscriptions_of(const Scope& scope,
                                                                    std::string_view after,
                                                                    std::size_t most) const;

  // Kind already_exists.
  io::Task<Result<std::shared_ptr<Topic>>> create(TopicInfo info);
  // Kind not_found: it is deleted. `change` may be called when others' changes are through.
  io::Task<Result<>> update(std::shared_ptr<Topic> topic, std::function<void(TopicInfo&)> change);
  // With its subscriptions.
  io::Task<Result<>> remove(std::shared_ptr<Topic> topic);

  // A new one, with a number of its own; or the one that goes to that endpoint already.
  io::Task<Result<std::shared_ptr<const Subscription>>> add(std::shared_ptr<Topic> topic,
                                                            Subscription subscription);
  // Kind not_found.
  io::Task<Result<>> update(SubscriptionRef ref, std::function<void(Subscription&)> change);
  io::Task<Result<>> remove(SubscriptionRef ref);

  // Grows with each, over restarts too.
  std::uint64_t next_number();
  // Numbers up to this are in use.
  void seen_number(std::uint64_t number) { last_number_ = std::max(last_number_, number); }
  // Forgets, from now on, subscriptions that nobody confirmed in time.
  void start();
  io::Task<void> close();

 private:
  // One change of a topic at a time: each begins from what the one before has left.
  io::Task<Result<>> lock(std::shared_ptr<Topic> topic);
  void unlock(const std::shared_ptr<Topic>& topic);
  void enter(std::shared_ptr<Topic> topic);
  Result<> load_subscriptions(Topic& topic);
  void put(Topic& topic, Subscription subscription);
  void drop(Topic& topic, const std::string& id);
  void await_expiry();
  io::Task<void> expire();

  Deps deps_;
  std::map<TopicRef, std::shared_ptr<Topic>> topics_;
  std::map<std::pair<Scope, bool>, std::size_t> counts_;  // of topics, those with order apart
  std::map<std::uint64_t, std::shared_ptr<const Subscription>> by_number_;
  std::set<std::uint64_t> unconfirmed_;  // numbers of subscriptions in another state
  std::set<std::shared_ptr<Topic>> changing_;
  io::ParkingLot changed_;
  std::uint64_t last_number_ = 0;
  bool started_ = false;
  std::optional<io::Loop::PlatformTimerId> expiry_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::sns
