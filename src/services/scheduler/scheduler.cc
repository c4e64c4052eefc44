#include "services/scheduler/scheduler.h"

#include "base/log.h"

namespace mayfly::services::scheduler {

Scheduler::Scheduler(Deps deps)
    : deps_(std::move(deps)),
      groups_(deps_.loop, deps_.store),
      schedules_({deps_.loop, deps_.random, deps_.store, groups_, deps_.zones}),
      courier_(deps_.switchboard, deps_.calls),
      runner_(schedules_, courier_, deps_.count),
      tasks_(deps_.loop) {}

io::Task<Result<std::unique_ptr<Scheduler>>> Scheduler::open(Deps deps) {
  auto out = std::make_unique<Scheduler>(std::move(deps));
  CO_TRY(co_await out->groups_.load());
  co_return out;
}

void Scheduler::start() {
  runner_.start();
  for (auto& ref : groups_.deleting()) tasks_.spawn(erase(std::move(ref)));
}

void Scheduler::stop() {
  runner_.stop();
  tasks_.request_stop();
}

io::Task<void> Scheduler::close() {
  co_await runner_.close();
  co_await tasks_.close();
}

io::Task<Result<>> Scheduler::delete_group(GroupRef ref) {
  CO_TRY(co_await groups_.change(ref, [](Group& group) { group.deleting = true; }));
  tasks_.spawn(erase(std::move(ref)));
  co_return Result<>{};
}

io::Task<void> Scheduler::erase(GroupRef ref) {
  auto erased = co_await schedules_.erase(ref, tasks_.stop_token());
  if (erased) erased = co_await groups_.forget(ref);
  // The next start goes on.
  if (!erased && erased.error().kind != ErrorKind::cancelled) {
    log::error("scheduler", "{} is not erased: {}", ref.arn(), erased.error().message);
  }
}

bool Scheduler::deleted_before(std::string_view arn, std::optional<std::string_view> token) const {
  return token && tokens_.contains(fmt::format("{} {}", arn, *token));
}

void Scheduler::note_deletion(std::string_view arn, std::optional<std::string_view> token) {
  if (!token || !tokens_.insert(fmt::format("{} {}", arn, *token)).second) return;
  tokens_in_order_.push_back(fmt::format("{} {}", arn, *token));
  if (tokens_in_order_.size() <= limits::schedule_tokens) return;
  tokens_.erase(tokens_in_order_.front());
  tokens_in_order_.pop_front();
}

}  // namespace mayfly::services::scheduler
