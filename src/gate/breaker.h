// Breakers: circuit breakers, one for each that asks for one: a function, or a target that is
// pushed to. So many failures within its window open it: what is for it is refused, and no attempt
// is spent on it. After its time a few probes may run: as many successes close it, one failure
// opens it again.
//
//   closed ──(failures)──► open ──(its time)──► half open ──(probes succeed)──► closed
//                           ▲                       │ one fails
//                           └───────────────────────┘
//
// Times are platform times. State is of this process: a restart closes all.
//
// Loop thread; owned by who counts: the invoker, a service.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/loop.h"

namespace mayfly::gate {

// "5/60s", or with more of it "5/60s,open=30s,probes=1,fallback=WHAT"; blanks do as commas.
struct BreakerSettings {
  int failures = 5;
  std::int64_t window_ms = 60'000;
  std::int64_t open_ms = 30'000;
  int probes = 1;
  std::string fallback = {};  // what takes its place while it is open; or empty
  bool operator==(const BreakerSettings&) const = default;
};
// In the environment of a function; its fallback is the name of a function.
inline constexpr std::string_view breaker_variable = "MAYFLY_BREAKER";
// Of what pushes to a target; the fallback is the ARN of another target.
inline constexpr std::string_view breaker_tag = "mayfly:breaker";
// Kind invalid, with what is wrong; `name`: of what says so.
Result<BreakerSettings> read_breaker(std::string_view text,
                                     std::string_view name = breaker_variable);
// As the tag breaker_tag says; nullptr: it is not there.
Result<std::shared_ptr<const BreakerSettings>> breaker_of(
    const std::map<std::string, std::string>& tags);

// Error::reason of what an open breaker refuses (kind throttled).
inline constexpr std::string_view circuit_open = "CircuitOpen";

class Breakers {
 public:
  explicit Breakers(io::Loop& loop) : loop_(loop) {}
  ~Breakers();
  Breakers(const Breakers&) = delete;
  Breakers& operator=(const Breakers&) = delete;

  // One attempt begins; exactly one end() follows where this succeeds.
  Result<> begin(const std::string& key, const BreakerSettings& settings);
  enum class End { success, failure, neither };
  void end(const std::string& key, const BreakerSettings& settings, End how);
  // How an attempt on a target ended. What it will never take, and what is not there or not
  // allowed, says nothing of its health.
  static End judge(const Result<>& pushed);
  // Whether begin() would let one through now; how many it would.
  bool lets(std::string_view key) const { return room(key) > 0; }
  std::size_t room(std::string_view key) const;
  // When an open breaker lets something through again by time alone; 0: it is not open.
  std::int64_t opens_ms(std::string_view key) const;
  std::size_t open() const;
  // Those whose keys begin so are as at first: their settings have changed.
  void forget(std::string_view prefix);
  // Called when room() of one may have grown.
  void on_change(std::function<void(const std::string& key)> call) { changed_ = std::move(call); }

 private:
  struct Breaker {
    enum class State { closed, open, half_open };
    State state = State::closed;
    std::deque<std::int64_t> failures;  // when, within the window
    int running = 0;                    // probes
    int probes = 1;                     // that may run
    int succeeded = 0;                  // of them
    std::optional<io::Loop::PlatformTimerId> timer;
  };

  std::int64_t now_ms() const { return epoch_millis(loop_.clock().platform()); }
  void trip(const std::string& key, Breaker& breaker, const BreakerSettings& settings);
  void tell(const std::string& key) const {
    if (changed_) changed_(key);
  }

  io::Loop& loop_;
  std::map<std::string, Breaker, std::less<>> breakers_;  // those that are not as at first
  std::function<void(const std::string&)> changed_;
};

}  // namespace mayfly::gate
