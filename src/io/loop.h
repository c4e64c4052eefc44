// Loop: one thread's event loop on epoll: ready coroutines, timers, descriptors, posted calls.
//
// Thread: everything here belongs to the thread that calls run(), except post() and stop().
// Lifetime: the Loop outlives every object that took a reference to it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "io/task.h"

namespace mayfly::io {

class Loop {
 public:
  explicit Loop(const Clock& clock);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  const Clock& clock() const { return clock_; }
  MonoTime now() const { return clock_.mono(); }
  // As of the turn under way: for what bears to be told some milliseconds late.
  MonoTime lately() const { return lately_; }

  // Runs until stop().
  void run();
  // Runs what can run now (ready coroutines, due timers, ready descriptors, posted calls) and
  // returns when nothing is left: how tests drive a loop under a ManualClock.
  void run_ready();
  // Runs until `task` has finished and returns its value (tests, command line).
  template <class T>
  T run_until(Task<T> task);

  // Thread-safe. `call` runs on the loop's thread, in order of posting.
  void post(std::move_only_function<void()> call);
  void stop();

  // Resumes `handle` from the loop, never inside the caller's stack.
  void make_ready(std::coroutine_handle<> handle) { ready_.push_back(handle); }

  // Timers: `fire` runs once at or after `at`. A TimerId is never reused.
  using TimerId = std::pair<MonoTime, std::uint64_t>;
  TimerId add_timer(MonoTime at, std::move_only_function<void()> fire);
  void cancel_timer(const TimerId& id) { timers_.erase(id); }
  // The same by platform time, for rules of the cloud; never for what protects this server, because
  // whoever uses a server in dev mode may move and freeze that time.
  using PlatformTimerId = std::pair<WallTime, std::uint64_t>;
  PlatformTimerId add_platform_timer(WallTime at, std::move_only_function<void()> fire);
  void cancel_timer(const PlatformTimerId& id) { platform_timers_.erase(id); }

  // Before the loop next looks at its descriptors, when all that was ready has run: for what is
  // better done once for many. At most once per turn and handler.
  class TurnHandler {
   public:
    virtual void on_turn_end() = 0;

   protected:
    ~TurnHandler() = default;
  };
  // Suspends until then.
  struct TurnEnd {
    Loop& loop;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) { loop.turn_waiters_.push_back(handle); }
    void await_resume() const noexcept {}
  };
  TurnEnd turn_end() { return {*this}; }
  void at_turn_end(TurnHandler& handler) { turn_ends_.push_back(&handler); }
  void forget_turn_end(TurnHandler& handler) { std::erase(turn_ends_, &handler); }

  // Descriptors: edge-triggered; the handler gets the epoll event bits.
  class FdHandler {
   public:
    virtual void on_events(std::uint32_t events) = 0;

   protected:
    ~FdHandler() = default;
  };
  // Whoever seldom waits for room to write asks for it then, with want_room(): a UNIX socket tells
  // of room after every message its peer reads.
  enum class Interest { bytes, bytes_and_room };
  Result<> add_fd(int fd, FdHandler& handler, Interest interest = Interest::bytes_and_room);
  void want_room(int fd, FdHandler& handler);
  void remove_fd(int fd, FdHandler& handler);

 private:
  int poll(int timeout_ms);  // answers how many descriptors it told of
  bool run_batch();
  bool fire_timers();
  bool run_posted();
  // Nothing goes on without being told of something.
  bool idle() const { return ready_.empty() && turn_waiters_.empty(); }
  bool ends_something() const { return !turn_waiters_.empty() || !turn_ends_.empty(); }
  void run_rounds(const bool& done);
  void run_turns(const bool& done);
  void end_turn();
  int timeout_ms() const;

  const Clock& clock_;
  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  bool stopping_ = false;
  MonoTime lately_{};
  std::uint64_t next_timer_ = 0;
  std::deque<std::coroutine_handle<>> ready_;
  std::map<TimerId, std::move_only_function<void()>> timers_;
  std::map<PlatformTimerId, std::move_only_function<void()>> platform_timers_;
  // Handlers removed during the current batch of events: their stale events are dropped.
  std::vector<FdHandler*> removed_;
  std::vector<TurnHandler*> turn_ends_;
  std::vector<std::coroutine_handle<>> turn_waiters_;
  std::mutex posted_mutex_;
  std::vector<std::move_only_function<void()>> posted_;  // guarded by posted_mutex_
};

namespace detail {
// A coroutine that frees itself at its end: the root under which spawned tasks run.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};
template <class T>
Detached drive(Task<T> task, std::optional<T>& out, bool& done) {
  out.emplace(co_await std::move(task));
  done = true;
}
inline Detached drive_void(Task<void> task, bool& done) {
  co_await std::move(task);
  done = true;
}
}  // namespace detail

template <class T>
T Loop::run_until(Task<T> task) {
  bool done = false;
  if constexpr (std::is_void_v<T>) {
    detail::drive_void(std::move(task), done);
    run_turns(done);
  } else {
    std::optional<T> out;
    detail::drive<T>(std::move(task), out, done);
    run_turns(done);
    return std::move(*out);
  }
}

}  // namespace mayfly::io
