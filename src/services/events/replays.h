// Replays: events of archives, given to the rules of their bus again, in the order of their
// archiving, with "replay-name" beside their members (EventBridge user guide, "Replaying archived
// events").
//
// How far one has come is stored in the commit of the deliveries that it makes: a restart goes on
// there, and no event is replayed twice. Loop thread. stop(), then close() before destruction.
#pragma once

#include "services/events/router.h"

namespace mayfly::services::bus {

class Replays {
 public:
  struct Deps {
    io::Loop& loop;
    store::Store& store;
    Config& config;
    Router& router;
  };
  explicit Replays(Deps deps) : deps_(deps), tasks_(deps_.loop) {}

  // Goes on with those that are under way.
  void start();
  void stop() { started_ = false; }
  io::Task<void> close();

  // Of a replay whose record is there.
  void run(const std::string& key);

 private:
  using Row = Table<Replay>::Row;
  io::Task<void> replay(std::string key);
  io::Task<Result<bool>> page(const Replay& replay, const Archive& archive, const BusRef& bus);
  io::Task<void> end(std::string key, std::string state, std::string reason);
  std::int64_t now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }

  Deps deps_;
  bool started_ = false;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::bus
