// Router: from an event on a bus to the rules and archives that want it. What a publication makes
// (entries of archives, deliveries to targets) is one commit; an event that nobody wants makes
// none.
//
// Loop thread. stop(), then close() before destruction.
#pragma once

#include "services/events/deliveries.h"

namespace mayfly::services::bus {

struct Publication {
  Origin origin;
  BusEvent event;
  // Of a replay: goes to these rules alone (empty: to all), and into no archive.
  bool replay = false;
  std::vector<std::string> only_rules{};  // ARNs
};

class Router {
 public:
  struct Deps {
    io::Loop& loop;
    store::Store& store;
    Config& config;
    Deliveries& deliveries;
    const Counts& counts;
  };
  explicit Router(Deps deps);
  ~Router();

  void start();
  void stop();
  io::Task<void> close();

  // A value: everything that follows is on the disk. `with` is stored in the same commit.
  io::Task<Result<>> publish(std::vector<Publication> events, store::Batch with = {});
  // To one rule's targets, whatever its pattern: a rule's own schedule.
  io::Task<Result<>> trigger(std::shared_ptr<const Rule> rule, Publication event);

 private:
  // Of one event that is not replayed, or a rule's schedule: once it is on the disk.
  struct Routed {
    BusRef bus;
    bool published = true;
    std::vector<std::string> rules;  // their names
  };
  void count(const Routed& routed) const;
  void keep(const Archive& archive, const Publication& event, store::Batch& batch);
  io::Task<void> trim_archives();
  void arm();

  Deps deps_;
  bool started_ = false;
  std::optional<io::Loop::PlatformTimerId> timer_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::bus
