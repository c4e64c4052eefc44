// The next hop: where a function is called from another as a habit, its environment is made ready
// when a call of that other begins.
#include "invoke/pool.h"

namespace mayfly::invoke {

void Pool::note_hop(const std::string& from, const std::shared_ptr<const Runnable>& to) {
  // Whose tenant the next call is for is not known when the first begins.
  if (to->per_tenant || to->concurrency_key == from) return;
  if (Habits* habits = habits_.find(from)) habits->note_hop(to);
}

void Pool::prewarm_next(Habits& habits) {
  habits.note_call();
  std::vector<std::shared_ptr<const Runnable>> cold;  // starting one may change the hops
  for (const auto& hop : habits.hops) {
    if (!habits.usual(hop) || hop.to->reserved_concurrency == 0) continue;
    auto found = groups_.find(hop.to->environments_key());
    bool there =
        found != groups_.end() && (!found->second->idle.empty() || found->second->starting > 0);
    if (!there) cold.push_back(hop.to);
  }
  for (const auto& runnable : cold) {
    bool room = slots_free() && has_room(environment_share_bytes) && machine_.at_ease();
    if (!room || closing_) return;
    spawn_start(group_of(runnable), true);
  }
}

}  // namespace mayfly::invoke
