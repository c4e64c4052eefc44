// Flow: a body on its way from the one task that makes it to the one that takes it, and BodySource,
// the taking end as front/ sees it.
//
// Nothing here blocks a maker: it pushes, and before it makes more it looks at taken() or waits for
// it, so that what lies in between stays within what the maker allows itself. When the taker has
// left, or the flow has ended, what is pushed counts as taken and is thrown away.
//
// Held by both ends (shared_ptr in its owner's hands); loop thread only.
#pragma once

#include <functional>
#include <string>

#include "io/park.h"

namespace mayfly::io {

class BodySource {
 public:
  virtual ~BodySource() = default;
  // The next bytes; empty: the body ends here. An error: it breaks off, and whoever receives it
  // must be able to tell that from an end. Not called again after either.
  virtual Task<Result<std::string>> next(std::stop_token stop) = 0;
};

class Flow {
 public:
  explicit Flow(Loop& loop) : makers_(loop), takers_(loop) {}

  // ---- the maker's end
  void push(std::string_view bytes);
  std::uint64_t taken() const { return taken_; }
  std::size_t waiting() const { return bytes_.size(); }
  // Until `total` bytes are taken.
  Task<Wake> wait_taken(std::uint64_t total, Deadline deadline, std::stop_token stop = {});
  // Runs once, at the next taking; for makers that are called instead of waiting. Empty: forgets.
  void on_take(std::move_only_function<void()> call) { on_take_ = std::move(call); }
  // The first of the two counts.
  void end();
  void break_off(Error why);
  bool ended() const { return ended_; }

  // ---- the taker's end
  // All that is there, waiting for the first byte; empty at the end.
  Task<Result<std::string>> next(std::stop_token stop = {});
  // Without waiting.
  std::string take();
  // Nobody takes any more.
  void leave();
  bool left() const { return left_; }

 private:
  void count(std::size_t bytes);

  std::string bytes_;
  std::uint64_t taken_ = 0;
  bool ended_ = false;
  bool left_ = false;
  std::optional<Error> broken_;
  std::move_only_function<void()> on_take_;
  ParkingLot makers_;
  ParkingLot takers_;
};

}  // namespace mayfly::io
