#include "io/park.h"

#include <cstdlib>

#include "base/log.h"

namespace mayfly::io {

void ParkingLot::Awaiter::await_suspend(std::coroutine_handle<> handle) {
  handle_ = handle;
  place_ = lot_.waiting_.insert(lot_.waiting_.end(), this);
  if (deadline_ != no_deadline) {
    timer_ = lot_.loop_.add_timer(deadline_, [this] {
      timer_.reset();
      finish(Wake::timeout);
    });
  }
  // Last: a stop that is already requested runs the callback in its constructor.
  if (stop_.stop_possible()) on_stop_.emplace(stop_, OnStop{this});
}

void ParkingLot::Awaiter::finish(Wake wake) {
  if (!handle_) return;
  wake_ = wake;
  lot_.waiting_.erase(place_);
  if (timer_) lot_.loop_.cancel_timer(*timer_);
  timer_.reset();
  lot_.loop_.make_ready(std::exchange(handle_, {}));
}

Result<> to_result(Wake wake, std::string_view what) {
  if (wake == Wake::timeout) return fail(ErrorKind::timeout, fmt::format("{}: timed out", what));
  if (wake == Wake::cancelled)
    return fail(ErrorKind::cancelled, fmt::format("{}: cancelled", what));
  return {};
}

Task<Wake> sleep_until(Loop& loop, MonoTime at, std::stop_token stop) {
  ParkingLot lot(loop);
  co_return co_await lot.park(at, std::move(stop));
}

TaskScope::~TaskScope() {
  if (running_ == 0) return;
  log::error("io", "a task scope ended with {} running tasks", running_);
  std::abort();
}

detail::Detached TaskScope::run(Task<void> task) {
  co_await std::move(task);
  task = {};  // its frame ends before anyone who waits for it goes on
  --running_;
  if (running_ == 0) lot_.wake_all();
}

void TaskScope::spawn(Task<void> task) {
  ++running_;
  run(std::move(task));
}

Task<void> TaskScope::close() {
  stop_.request_stop();
  while (running_ > 0) co_await lot_.park();
}

Task<Wake> TaskScope::drain(Deadline deadline) {
  while (running_ > 0) {
    Wake wake = co_await lot_.park(deadline);
    if (wake != Wake::notified) co_return wake;
  }
  co_return Wake::notified;
}

}  // namespace mayfly::io
