// Groups: of schedules, all in memory; the cloud has 500 of an account and region at the most.
// Every account and region has a group "default", which is stored only when it was tagged.
//
// Loop thread; owned by Scheduler.
#pragma once

#include <map>
#include <vector>

#include "services/scheduler/locks.h"
#include "services/scheduler/schedule.h"
#include "store/store.h"

namespace mayfly::services::scheduler {

using Tags = std::map<std::string, std::string>;

struct Group {
  GroupRef ref;
  std::int64_t created_ms = 0;
  std::int64_t modified_ms = 0;
  bool deleting = false;
  Tags tags{};
  std::string token{};  // the ClientToken that made it
  // As its tags say.
  Missed missed() const;
  Overlap overlap() const;
};

class Groups {
 public:
  Groups(io::Loop& loop, store::Store& store) : loop_(loop), store_(store), locks_(loop) {}
  io::Task<Result<>> load();

  std::optional<Group> find(const GroupRef& ref) const;
  // In the order of their names, after `after`.
  std::vector<Group> list(const Scope& scope, std::string_view prefix, std::string_view after,
                          std::size_t most) const;
  std::vector<GroupRef> deleting() const;
  // already_exists; too_large: limits::schedule_groups.
  io::Task<Result<>> create(GroupRef ref, Tags tags, std::string token);
  // Durable. not_found.
  io::Task<Result<>> change(GroupRef ref, std::function<void(Group&)> change);
  // Of one whose schedules are gone.
  io::Task<Result<>> forget(GroupRef ref);

 private:
  io::Task<Result<>> keep(Group group);
  std::size_t count(const Scope& scope) const;

  io::Loop& loop_;
  store::Store& store_;
  KeyLocks locks_;
  std::int64_t born_ms_ = 0;
  std::map<GroupRef, Group> groups_;
};

}  // namespace mayfly::services::scheduler
