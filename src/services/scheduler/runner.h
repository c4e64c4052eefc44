// Runner: lets schedules run when they are due.
//
//   due/ row  ──claim──►  run/ row + the next due/ row, one commit
//   run/ row  ──deliver──► its target has it: the row is deleted, the history written
//                          it failed:   the row moves to the time of the next attempt
//                          for good:    to the dead-letter queue, then as delivered
//
// With a circuit breaker (the tag mayfly:breaker of the group; one for each target of its
// schedules) that is open, runs go to its fallback, or their rows move to the time at which it lets
// something through, without an attempt; while it is tried out, those that are due wait for how
// that ends.
//
// So a run that fell due is in the store until its target has it: a server that is killed meanwhile
// delivers it when it starts again (perhaps a second time). Both kinds of rows are in the order of
// time, and one timer waits for the first of them: what is not due takes no memory.
//
// Loop thread; owned by Scheduler. stop() lets nothing more begin; close() waits for what is under
// way.
#pragma once

#include <unordered_map>

#include "gate/breaker.h"
#include "io/park.h"
#include "services/scheduler/courier.h"
#include "services/scheduler/schedules.h"

namespace mayfly::services::scheduler {

class Runner {
 public:
  // `count` may be absent.
  Runner(Schedules& schedules, const Courier& courier, CountStep count);
  void start();
  void stop();
  io::Task<void> close();
  struct Totals {
    std::size_t under_way = 0;
    std::uint64_t delivered = 0;
    std::uint64_t failed = 0;
    std::uint64_t missed = 0;
    std::size_t open_breakers = 0;  // now
  };
  // Since the start.
  Totals totals() const;

 private:
  struct Claim;

  // Something may be due, or there is room again.
  void wake();
  // A schedule has got another time.
  void another(std::int64_t due_ms);
  io::Task<void> work();
  void arm();
  void pause();
  std::size_t room() const;
  Result<std::vector<DueRow>> due_rows(std::size_t most) const;
  io::Task<Result<std::size_t>> claim(std::size_t most);
  Result<bool> overlaps(const DueRow& row, const Group& group) const;
  Result<> claim_one(const DueRow& row, store::Batch& batch, std::vector<Claim>& claims);
  Result<std::size_t> take_runs(std::size_t most);
  void fly(Run run, std::optional<Schedule> schedule);
  io::Task<void> deliver(Run run, std::optional<Schedule> schedule);
  // runner_breaker.cc
  std::shared_ptr<const gate::BreakerSettings> breaker_of(const Run& run) const;
  io::Task<std::optional<Failure>> attempt(Run run, Target target);
  // What an open breaker keeps from its target: it has gone to the fallback (nullopt), or that it
  // has not.
  io::Task<std::optional<Failure>> detour(Run run, Target target, std::string fallback) const;
  // false: it is too old for that.
  io::Task<bool> postpone(Run run, const Target& target);
  // Its row is replaced by that of a later try.
  io::Task<void> put_off(const Run& run, const Run& later);
  io::Task<void> settle(Run run, const Target& target, std::optional<Failure> failure,
                        std::int64_t began_ms);
  io::Task<bool> retry(const Run& run, const Target& target, const Failure& failure,
                       std::string& exhausted);
  io::Task<void> remove_complete(ScheduleRef ref, std::string id);
  void count(const Run& run, Step step) const {
    if (count_) count_(run.ref.in(), step);
  }
  // Of a run that is at its end, its own rows.
  static void forget(const Run& run, store::Batch& batch);
  io::Task<void> keep(store::Batch batch);
  std::int64_t now_ms() const;

  Schedules& schedules_;
  const Courier& courier_;
  CountStep count_;
  io::Loop& loop_;
  bool stopped_ = true;
  bool working_ = false;
  bool again_ = false;
  std::unordered_map<std::string, MonoTime> flying_;  // ids of runs, since when
  Totals totals_;
  std::optional<io::Loop::PlatformTimerId> timer_;  // for the first row that is to come
  std::optional<io::Loop::TimerId> pause_;
  std::optional<io::Loop::TimerId> slow_;
  gate::Breakers breakers_;
  io::ParkingLot breaker_news_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::services::scheduler
