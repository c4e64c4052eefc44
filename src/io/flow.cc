#include "io/flow.h"

namespace mayfly::io {

void Flow::push(std::string_view bytes) {
  if (ended_ || left_) {
    count(bytes.size());
    return;
  }
  bytes_ += bytes;
  if (!bytes.empty()) takers_.wake_all();
}

void Flow::count(std::size_t bytes) {
  if (bytes == 0) return;
  taken_ += bytes;
  makers_.wake_all();
  // It may set the next one.
  if (auto call = std::exchange(on_take_, nullptr)) call();
}

Task<Wake> Flow::wait_taken(std::uint64_t total, Deadline deadline, std::stop_token stop) {
  while (taken_ < total) {
    Wake wake = co_await makers_.park(deadline, stop);
    if (wake != Wake::notified) co_return wake;
  }
  co_return Wake::notified;
}

void Flow::end() {
  if (ended_) return;
  ended_ = true;
  takers_.wake_all();
}

void Flow::break_off(Error why) {
  if (ended_) return;
  broken_ = std::move(why);
  end();
}

Task<Result<std::string>> Flow::next(std::stop_token stop) {
  while (bytes_.empty()) {
    if (broken_) co_return std::unexpected(*broken_);
    if (ended_) co_return std::string();
    CO_TRY(to_result(co_await takers_.park(no_deadline, stop), "the next part of a body"));
  }
  co_return take();
}

std::string Flow::take() {
  std::string out = std::exchange(bytes_, {});
  count(out.size());
  return out;
}

void Flow::leave() {
  left_ = true;
  take();
}

}  // namespace mayfly::io
