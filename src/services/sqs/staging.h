// Staging: the messages that one invocation sends, kept until it has ended: then they are sent, and
// the messages it was invoked for deleted, in one commit. What it asked topics and buses for is
// written down in the same commit, for the Carrier. StagedSends begins them for events that come
// from no queue, and remembers which of these were done.
//
// A staged message has its id already; its place in the queue (and its sequence number) it gets
// when it is sent.
//
// Rows: once/REQUEST-ID → when it was done, milliseconds (decimal), a blank, the outcome.
//
// Loop thread. StagedSends outlives every Staging; close() when nothing runs any more.
#pragma once

#include <set>

#include "events/effects.h"
#include "services/sqs/queues.h"

namespace mayfly::services::sqs {

class Staging final : public events::Effects {
 public:
  // `from`: the queue whose messages are acknowledged with it; nullptr: none.
  struct Deps {
    io::Loop& loop;
    store::Store& store;
    Random& random;
    Carrier& carrier;
  };
  Staging(Deps deps, std::shared_ptr<Queue> from) : deps_(deps), from_(std::move(from)) {}

  // too_large: the invocation sends more than can be held.
  Result<std::vector<Sent>> stage(std::shared_ptr<Queue> to, std::vector<Message> messages);
  Result<> hold(std::vector<events::HeldEffect> effects) override;
  io::Task<Result<>> commit(std::vector<std::string> handles, std::string request_id,
                            std::string outcome) override;

 private:
  Result<> make_room(std::size_t messages, std::size_t bytes);

  struct Group {
    std::shared_ptr<Queue> to;
    std::vector<Message> messages;
  };
  Deps deps_;
  std::shared_ptr<Queue> from_;
  std::vector<Group> groups_;             // in the order of sending
  std::vector<events::HeldEffect> held_;  // likewise
  std::size_t messages_ = 0;
  std::size_t bytes_ = 0;
};

class StagedSends final : public events::EffectsLedger {
 public:
  explicit StagedSends(Staging::Deps deps) : deps_(deps), tasks_(deps_.loop) {}

  std::shared_ptr<events::Effects> begin() override {
    forget_old();
    return std::make_shared<Staging>(deps_, nullptr);
  }
  Result<std::optional<std::string>> done(std::string_view request_id) override;
  io::Task<void> close() { return tasks_.close(); }

 private:
  void forget_old();
  io::Task<void> forget();

  Staging::Deps deps_;
  std::int64_t swept_ms_ = 0;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::sqs
