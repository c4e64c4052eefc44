// The Restore phase of functions with SnapStart: an environment is a fork of what the version's
// init left, and has run its after-restore hooks when it is ready.
#include "invoke/environment.h"
#include "invoke/environment_spec.h"
#include "invoke/phase_log.h"

namespace mayfly::invoke {

bool Environment::restores() const {
  return runnable_->snap_start && origin_ && origin_->kind() == TemplateKind::function &&
         origin_->parked();
}

io::Task<Result<>> Environment::restore() {
  const auto& clock = deps_.loop.clock();
  write_phase_start(log_, *runnable_, runtime_, Phase::restore, clock.platform());
  MonoTime begun = deps_.loop.now();
  CO_TRY_ASSIGN(auto failure, co_await boot(begun + limits::restore_time));
  Duration took = deps_.loop.now() - begun;
  Status status = failure ? failure->status : Status::success;
  if (shows_done(*runnable_, status)) {
    std::string_view error_type = failure ? std::string_view(failure->error_type) : "";
    log_.platform(restore_runtime_done_event(status, error_type, clock.platform()));
  }
  write_restore_report(log_, *runnable_, took, failure ? &*failure : nullptr, clock.platform());
  if (!failure) {
    restore_duration_ = took;
    co_return Result<>{};
  }
  co_await end();
  if (failure->status == Status::timeout) co_return std::unexpected(restore_timed_out());
  co_return std::unexpected(restore_failed());
}

}  // namespace mayfly::invoke
