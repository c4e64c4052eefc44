// Publisher: from a message that was accepted to the Outbox: its number, deduplication (FIFO
// topics, five minutes by platform time), and who gets it.
//
// Loop thread. Outlives the handlers and the target.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/sns/courier.h"
#include "services/sns/outbox.h"
#include "services/sns/topics.h"

namespace mayfly::services::sns {

class Publisher {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    Topics& topics;
    Outbox& outbox;
    CountStep count;
  };
  explicit Publisher(Deps deps) : deps_(std::move(deps)) {}
  // What was published within the last minutes.
  Result<> load();

  struct Published {
    std::string id;
    std::uint64_t seq = 0;
  };
  // Accepted messages of one topic, in their order: all or none. A duplicate is answered as the
  // message that it repeats. Durable when it answers; `also` is stored in the same commit. One that
  // has an id keeps it.
  io::Task<Result<std::vector<Published>>> publish(std::shared_ptr<Topic> topic,
                                                   std::vector<Message> messages,
                                                   store::Batch also = {});
  // Asks an endpoint for its confirmation, or tells it of its end.
  io::Task<Result<>> tell(std::shared_ptr<const Subscription> subscription, Message::Type what);

 private:
  struct Seen {
    Published as;
    std::int64_t until_ms = 0;
  };
  std::string deduplication_key(const Topic& topic, const Message& message) const;
  void forget_old(store::Batch& batch);
  void note(const std::string& key, Seen seen);
  void stamp(const Topic& topic, Message& message);
  std::vector<std::uint64_t> receivers_of(const Topic& topic, const Message& message) const;

  Deps deps_;
  std::map<std::string, Seen> seen_;                // by the key of the row
  std::multimap<std::int64_t, std::string> until_;  // when each may go
};

}  // namespace mayfly::services::sns
