// Breakers: a circuit breaker per function that asks for one. So many failures within its window
// open it: its calls are refused, and no attempt is spent on it. After its time a few probes may
// run: as many successes close it, one failure opens it again.
//
//   closed ──(failures)──► open ──(its time)──► half open ──(probes succeed)──► closed
//                           ▲                       │ one fails
//                           └───────────────────────┘
//
// A failure is one of the function: an error, a timeout, a crash. What the platform refuses counts
// for nothing. Times are platform times. State is of this process: a restart closes all.
//
// Loop thread; owned by the invoker.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/loop.h"

namespace mayfly::invoke {

// MAYFLY_BREAKER in the environment of a function: "5/60s", or with more of it
// "5/60s,open=30s,probes=1,fallback=NAME".
struct BreakerSettings {
  int failures = 5;
  std::int64_t window_ms = 60'000;
  std::int64_t open_ms = 30'000;
  int probes = 1;
  std::string fallback;  // a function that answers in its place while it is open; or empty
};
inline constexpr std::string_view breaker_variable = "MAYFLY_BREAKER";
// Kind invalid, with what is wrong.
Result<BreakerSettings> read_breaker(std::string_view text);

// Error::reason of a call that an open breaker refuses (kind throttled).
inline constexpr std::string_view circuit_open = "CircuitOpen";

class Breakers {
 public:
  explicit Breakers(io::Loop& loop) : loop_(loop) {}
  ~Breakers();

  // One call of the function begins; exactly one end() follows where this succeeds.
  Result<> begin(const std::string& key, const BreakerSettings& settings);
  enum class End { success, failure, neither };
  void end(const std::string& key, const BreakerSettings& settings, End how);
  // Whether begin() would let a call through now.
  bool lets(std::string_view key) const;
  std::size_t open() const;
  // Called when lets() of a function may have changed to true.
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

}  // namespace mayfly::invoke
