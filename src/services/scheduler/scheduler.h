// Scheduler: groups, schedules and what lets them run, with one life.
//
// Loop thread; owned by mayfly/. start() once the targets are there; stop() before front/ closes,
// so that nothing more begins; close() while the targets are still there.
#pragma once

#include <deque>

#include "services/scheduler/runner.h"

namespace mayfly::services::scheduler {

class Scheduler {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    Zones zones;
    const events::Switchboard& switchboard;
    api::Calls& calls;
    CountStep count{};  // or absent
  };
  explicit Scheduler(Deps deps);
  static io::Task<Result<std::unique_ptr<Scheduler>>> open(Deps deps);

  const Deps& deps() const { return deps_; }
  Groups& groups() { return groups_; }
  Schedules& schedules() { return schedules_; }
  // Its schedules go in the background.
  io::Task<Result<>> delete_group(GroupRef ref);
  // A retry of a deletion that was done.
  bool deleted_before(std::string_view arn, std::optional<std::string_view> token) const;
  void note_deletion(std::string_view arn, std::optional<std::string_view> token);

  Runner::Totals totals() const { return runner_.totals(); }

  void start();
  void stop();
  io::Task<void> close();

 private:
  io::Task<void> erase(GroupRef ref);

  Deps deps_;
  Groups groups_;
  Schedules schedules_;
  Courier courier_;
  Runner runner_;
  // Of deletions, "ARN token": nothing else is left that knows them. For retries of a call, which
  // come at once; forgotten by a restart.
  std::set<std::string, std::less<>> tokens_;
  std::deque<std::string> tokens_in_order_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::scheduler
