// The Init phase of versions ahead of their calls. With SnapStart it makes a template of which
// environments are forked; otherwise, and where the guest cannot be forked, an environment that
// waits for its first call.
#include "invoke/pool.h"

namespace mayfly::invoke {

void Pool::snapshot(std::shared_ptr<const Runnable> runnable, std::shared_ptr<SnapshotCall> call) {
  tasks_.spawn(run_snapshot(std::move(runnable), std::move(call)));
}

io::Task<void> Pool::run_snapshot(std::shared_ptr<const Runnable> runnable,
                                  std::shared_ptr<SnapshotCall> call) {
  call->result = co_await take_snapshot(std::move(runnable));
  call->done.set();
}

io::Task<Result<Snapshot>> Pool::take_snapshot(std::shared_ptr<const Runnable> runnable) {
  if (closing_) co_return fail(ErrorKind::cancelled, "the server is stopping");
  if (!runnable->snap_start) co_return co_await initialise_one(group_of(runnable));
  auto made = co_await templates_.snapshot(runnable);
  if (made || made.error().kind != ErrorKind::conflict) co_return made;
  if (closing_) co_return fail(ErrorKind::cancelled, "the server is stopping");
  co_return co_await initialise_one(group_of(runnable));
}

// Counts as a start under way, so that the group stays.
io::Task<Result<Snapshot>> Pool::initialise_one(Group& group) {
  StartAt start = begin_start(group);
  Result<Snapshot> out{};
  auto made = make_environment(group);
  if (!made) {
    out = std::unexpected(made.error());
  } else if (auto started = co_await (*made)->start(); !started) {
    // An after-restore hook that fails is a failure of the function's.
    const Error& error = started.error();
    if (error.reason.empty()) {
      out = std::unexpected(error);
    } else {
      out = Snapshot{.error_type = error.reason, .message = error.message};
    }
  } else if (const auto& failure = (*made)->init_failure()) {
    out = snapshot_failed(*failure);
  }
  end_start(start);
  if (out && out->error_type.empty()) {
    (*made)->spare = true;
    deliver(group, std::move(*made));
  } else {
    if (made) end(std::move(*made));
    forget_if_empty(group);
  }
  pump_starts();
  co_return out;
}

void Pool::forget(std::string_view pool_key) {
  retire_where([&](const Runnable& runnable) { return runnable.pool_key == pool_key; });
}

}  // namespace mayfly::invoke
