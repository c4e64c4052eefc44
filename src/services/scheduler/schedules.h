// Schedules: in the store alone, so that a million of them take no memory; with each, in the same
// commit, the row that says when it is due.
//
// Loop thread; owned by Scheduler.
#pragma once

#include "base/random.h"
#include "services/scheduler/groups.h"
#include "services/scheduler/rows.h"

namespace mayfly::services::scheduler {

class Schedules {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    Groups& groups;
    Zones zones;
  };
  explicit Schedules(Deps deps) : deps_(std::move(deps)), locks_(deps_.loop) {}

  Result<std::optional<Schedule>> find(const ScheduleRef& ref) const;
  // already_exists; not_found: its group is not there, or being deleted. `schedule` comes without
  // id and times.
  io::Task<Result<>> create(ScheduleRef ref, Schedule schedule);
  // not_found. What it was created with stays: its id, its time, its token.
  io::Task<Result<>> update(ScheduleRef ref, Schedule schedule);
  // not_found. With an `id`: only if it is still that one.
  io::Task<Result<>> remove(ScheduleRef ref, std::string id = {});
  // All of a group that is being deleted; ends early when `stop` says so.
  io::Task<Result<>> erase(GroupRef group, std::stop_token stop);

  struct Query {
    Scope scope;
    std::string group{};  // empty: all
    std::string prefix{};
    std::optional<bool> enabled{};
    std::string after{};  // the place where the page before has ended
    std::size_t most = limits::schedule_page;
  };
  struct Page {
    std::vector<std::pair<ScheduleRef, Schedule>> found;
    std::string next;  // empty: these were the last
  };
  Result<Page> list(const Query& query) const;

  // Of the last runs, newest first: JSON as it lies in the store.
  Result<std::vector<std::string>> history(const ScheduleRef& ref) const;
  // When the next run falls due: milliseconds since the epoch.
  Result<Next> next_of(const ScheduleRef& ref) const;

  // Adds the deletion of all that is kept of the schedule; whoever calls holds its lock.
  Result<> collect(const ScheduleRef& ref, store::Batch& batch) const;

  // A flexible window's part of this run: milliseconds.
  std::int64_t jitter(const Schedule& schedule) const;
  KeyLocks& locks() { return locks_; }
  const Deps& deps() const { return deps_; }
  // Called when a schedule has another time to run at: milliseconds since the epoch.
  std::function<void(std::int64_t due_ms)> on_due;

 private:
  struct Plan {
    store::Batch batch;
    std::optional<std::int64_t> due_ms;
  };
  // Rows of the schedule as it shall be from now on. Anew: it begins as one that is just made;
  // else a time that has come and was not claimed yet stays.
  enum class Begin { anew, on };
  Result<Plan> plan(const ScheduleRef& ref, const Schedule& schedule, Begin begin) const;
  io::Task<Result<>> keep(Plan plan);
  std::int64_t now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }

  Deps deps_;
  KeyLocks locks_;
};

}  // namespace mayfly::services::scheduler
