// Snapshots: templates of published versions with SnapStart. They are made when the version is
// published, beside those that are made by use, since such an init may take minutes. Nothing proves
// them: an environment restored when nobody calls would run the function's hooks.
#include "base/log.h"
#include "invoke/templates.h"

namespace mayfly::invoke {
namespace {

Error stopping() { return {ErrorKind::cancelled, "the server is stopping", {}}; }

}  // namespace

Snapshot snapshot_failed(const Failure& failure) {
  return {.error_type = failure.error_type,
          .message = failure.message.empty() ? failure.payload : failure.message};
}

io::Task<Result<Snapshot>> Templates::snapshot(std::shared_ptr<const Runnable> runnable) {
  if (closing_) co_return std::unexpected(stopping());
  CO_TRY_ASSIGN(auto runtime, deps_.choose_runtime(runnable->runtime));
  std::string refused = deps_.settings.fork_environments ? forking_refused(*runnable, *runtime.pack)
                                                         : "forking is switched off";
  if (!refused.empty()) co_return fail(ErrorKind::conflict, std::move(refused));
  auto& slot = entries_[runnable->pool_key];
  if (!slot) {
    slot = std::make_shared<Entry>();
    slot->runnable = runnable;
    slot->runtime = runtime;
  }
  std::shared_ptr<Entry> entry = slot;
  if (is_ready(*entry)) co_return Snapshot{};
  if (entry->state == Entry::State::refused) {
    co_return fail(ErrorKind::conflict, "its guest cannot be forked");
  }
  if (entry->state == Entry::State::waiting) {
    entry->state = Entry::State::building;
    entry->outcome.reset();
    tasks_.spawn(build_snapshot(entry));
  }
  while (!entry->outcome) {
    if (closing_) co_return std::unexpected(stopping());
    co_await snapshot_made_.park();
  }
  co_return *entry->outcome;
}

io::Task<void> Templates::build_snapshot(std::shared_ptr<Entry> entry) {
  std::string key = entry->runnable->pool_key;
  auto made =
      std::make_shared<Template>(deps_, buffer_, entry->kind, entry->runnable, entry->runtime);
  entry->made = made;
  auto parked = co_await made->park(deps_.loop.now() + init_limit(*entry->runnable));
  auto there = entries_.find(key);
  bool wanted = there != entries_.end() && there->second == entry && !closing_;
  if (parked && wanted) {
    entry->state = Entry::State::ready;
    entry->used = deps_.loop.now();
    entry->outcome = Snapshot{};
    keep_within_memory(key);
  } else {
    // What the guest says of itself holds for as long as the version does.
    bool final = !parked && parked.error().kind == ErrorKind::conflict;
    entry->state = final ? Entry::State::refused : Entry::State::waiting;
    if (final) {
      made->tell("Environments of this version are initialised one by one: " +
                 parked.error().message);
    }
    if (!wanted) {
      entry->outcome = std::unexpected(stopping());
    } else if (made->init_failure()) {
      entry->outcome = snapshot_failed(*made->init_failure());
    } else {
      entry->outcome = std::unexpected(parked.error());
    }
    entry->made.reset();
    end(std::move(made));
  }
  snapshot_made_.wake_all();
}

}  // namespace mayfly::invoke
