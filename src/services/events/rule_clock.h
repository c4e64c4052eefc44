// RuleClock: the schedules of rules, rate and cron in UTC: each time one falls due, its rule's
// targets get a "Scheduled Event" (EventBridge user guide, "Creating a scheduled rule"). What falls
// due while the server is down is left out.
//
// Loop thread; times are platform times. One timer, for the rule that is due next.
#pragma once

#include "services/events/router.h"
#include "wire/cron.h"

namespace mayfly::services::bus {

class RuleClock {
 public:
  RuleClock(io::Loop& loop, Random& random, Router& router)
      : loop_(loop), random_(random), router_(router), tasks_(loop) {}
  ~RuleClock();

  // For Config::on_rule.
  void changed(const Table<Rule>::Row& before, const Table<Rule>::Row& after);
  void start();
  void stop();
  io::Task<void> close();

 private:
  struct Timed {
    Table<Rule>::Row rule;
    wire::ScheduleExpression expression;
    std::int64_t due_s = 0;
  };
  std::int64_t now_s() const { return epoch_millis(loop_.clock().platform()) / 1000; }
  void plan(Timed timed, std::int64_t after_s);
  void arm();
  void fire();
  io::Task<void> trigger(Table<Rule>::Row rule, std::int64_t due_s);

  io::Loop& loop_;
  Random& random_;
  Router& router_;
  std::map<std::string, Timed, std::less<>> timed_;     // by the rule's key
  std::set<std::pair<std::int64_t, std::string>> due_;  // seconds, key
  bool started_ = false;
  std::optional<io::Loop::PlatformTimerId> timer_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::bus
