// Provisioned concurrency: versions of which a number of environments is kept initialised. They
// neither expire nor give way to others; one that ends is replaced.
#include <algorithm>

#include "base/log.h"
#include "invoke/pool.h"

namespace mayfly::invoke {
namespace {

// A start that came to nothing is tried again after this time: the machine may have room then.
constexpr auto retry_after = std::chrono::seconds(30);

}  // namespace

void Pool::provision(const std::shared_ptr<const Runnable>& runnable) {
  auto wanted = static_cast<std::size_t>(runnable->kept_environments());
  if (wanted == 0 && !groups_.contains(runnable->pool_key)) return;
  Group& group = group_of(runnable);
  std::size_t before = std::exchange(group.provisioned, wanted);
  if (before == 0 && wanted > 0) ++provisioned_groups_;
  if (before > 0 && wanted == 0) --provisioned_groups_;
  group.provision_failure.clear();
  group.provision_retry = {};
  if (wanted < before) arm_sweep(deps_.loop.now());  // what was kept beyond its time may go
  forget_if_empty(group);
  refill();
}

Provision Pool::provision_of(std::string_view pool_key) const {
  auto found = groups_.find(std::string(pool_key));
  if (found == groups_.end()) return {};
  const Group& group = *found->second;
  return {.wanted = static_cast<int>(group.provisioned),
          .ready = static_cast<int>(std::min(group.provisioned, alive(group) - group.starting)),
          .failure = group.provision_failure};
}

void Pool::note_start(Group& group, const Error* error, bool broken) {
  if (group.provisioned == 0) return;
  if (!error && !broken) {
    group.provision_failure.clear();
    return refill_later(Duration::zero());
  }
  group.provision_failure = error ? error->message : "FUNCTION_ERROR_INIT_FAILURE";
  group.provision_retry = deps_.loop.now() + retry_after;
  log::warn("invoke", "an environment to be kept for {} did not start: {}", group.key,
            group.provision_failure);
  refill_later(retry_after);
}

// Not at once: whoever ends an environment may be looking at its group.
void Pool::refill_later(Duration wait) {
  if (provisioned_groups_ == 0 || closing_) return;
  MonoTime at = deps_.loop.now() + wait;
  if (refill_timer_ && refill_timer_->first <= at) return;
  if (refill_timer_) deps_.loop.cancel_timer(*refill_timer_);
  refill_timer_ = deps_.loop.add_timer(at, [this] {
    refill_timer_.reset();
    refill();
  });
}

void Pool::refill() {
  MonoTime now = deps_.loop.now();
  auto wants = [now](const Group& group) {
    return alive(group) < group.provisioned && group.provision_retry <= now;
  };
  std::vector<Group*> wanting;
  for (auto& [key, group] : groups_) {
    if (wants(*group)) {
      wanting.push_back(group.get());
    } else if (alive(*group) < group->provisioned) {
      refill_later(group->provision_retry - now);
    }
  }
  // In turns, within what may start at one time; the end of a start brings the next.
  while (!wanting.empty() && !closing_) {
    std::erase_if(wanting, [&](Group* group) {
      if (!wants(*group) || !slots_free()) return true;
      spawn_start(*group, false);
      return false;
    });
  }
}

}  // namespace mayfly::invoke
