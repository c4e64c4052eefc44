// Waiting: ParkingLot is the one primitive on which events, queues, descriptors and sleeps are
// built. Loop thread only. A lot outlives its waiters, or wakes them in its destructor.
#pragma once

#include <deque>
#include <list>
#include <optional>
#include <stop_token>

#include "io/loop.h"

namespace mayfly::io {

enum class Wake { notified, timeout, cancelled };

class ParkingLot {
 public:
  explicit ParkingLot(Loop& loop) : loop_(loop) {}
  ParkingLot(const ParkingLot&) = delete;
  ParkingLot& operator=(const ParkingLot&) = delete;
  ~ParkingLot() { wake_all(Wake::cancelled); }

  class Awaiter {
   public:
    Awaiter(ParkingLot& lot, Deadline deadline, std::stop_token stop)
        : lot_(lot), deadline_(deadline), stop_(std::move(stop)) {}
    bool await_ready() {
      if (!stop_.stop_requested()) return false;
      wake_ = Wake::cancelled;
      return true;
    }
    void await_suspend(std::coroutine_handle<> handle);
    Wake await_resume() const { return wake_; }

   private:
    friend class ParkingLot;
    void finish(Wake wake);  // leaves the lot and readies the coroutine

    ParkingLot& lot_;
    Deadline deadline_;
    std::stop_token stop_;
    std::coroutine_handle<> handle_;
    Wake wake_ = Wake::notified;
    std::list<Awaiter*>::iterator place_;
    std::optional<Loop::TimerId> timer_;
    struct OnStop {
      Awaiter* self;
      void operator()() const noexcept { self->finish(Wake::cancelled); }
    };
    std::optional<std::stop_callback<OnStop>> on_stop_;
  };

  // `co_await lot.park(deadline, stop)` → why it woke.
  Awaiter park(Deadline deadline = no_deadline, std::stop_token stop = {}) {
    return Awaiter(*this, deadline, std::move(stop));
  }
  void wake_one(Wake wake = Wake::notified) {
    if (!waiting_.empty()) waiting_.front()->finish(wake);
  }
  void wake_all(Wake wake = Wake::notified) {
    while (!waiting_.empty()) waiting_.front()->finish(wake);
  }
  bool empty() const { return waiting_.empty(); }
  std::size_t size() const { return waiting_.size(); }
  Loop& loop() const { return loop_; }

 private:
  Loop& loop_;
  std::list<Awaiter*> waiting_;
};

// ok, or timeout/cancelled as an Error; `what` names what was waited for.
Result<> to_result(Wake wake, std::string_view what);

// Sleeps until `at` or until `stop`.
Task<Wake> sleep_until(Loop& loop, MonoTime at, std::stop_token stop = {});
inline Task<Wake> sleep_for(Loop& loop, Duration time, std::stop_token stop = {}) {
  return sleep_until(loop, loop.now() + time, std::move(stop));
}

// Set once (until reset); any number of waiters.
class Event {
 public:
  explicit Event(Loop& loop) : lot_(loop) {}
  void set() {
    set_ = true;
    lot_.wake_all();
  }
  void reset() { set_ = false; }
  bool is_set() const { return set_; }
  Task<Wake> wait(Deadline deadline = no_deadline, std::stop_token stop = {}) {
    while (!set_) {
      Wake wake = co_await lot_.park(deadline, stop);
      if (wake != Wake::notified) co_return wake;
    }
    co_return Wake::notified;
  }

 private:
  bool set_ = false;
  ParkingLot lot_;
};

// A first-in first-out queue between tasks of one loop. pop() fails with `cancelled` after close().
template <class T>
class Queue {
 public:
  explicit Queue(Loop& loop) : lot_(loop) {}
  void push(T item) {
    items_.push_back(std::move(item));
    lot_.wake_one();
  }
  void close() {
    closed_ = true;
    lot_.wake_all();
  }
  std::size_t size() const { return items_.size(); }
  Task<Result<T>> pop(Deadline deadline = no_deadline, std::stop_token stop = {}) {
    while (items_.empty()) {
      if (closed_) co_return fail(ErrorKind::cancelled, "the queue is closed");
      Wake wake = co_await lot_.park(deadline, stop);
      if (wake != Wake::notified) CO_TRY(to_result(wake, "queue"));
    }
    T item = std::move(items_.front());
    items_.pop_front();
    co_return item;
  }

 private:
  bool closed_ = false;
  std::deque<T> items_;
  ParkingLot lot_;
};

// TaskScope owns background work: its close() asks every task to stop and waits for all of them.
// It must be closed (or empty) before it is destroyed.
class TaskScope {
 public:
  explicit TaskScope(Loop& loop) : lot_(loop) {}
  ~TaskScope();
  // Starts `task` now; it runs until its first suspension inside this call.
  void spawn(Task<void> task);
  // Handed to waits inside the tasks, so that close() ends them.
  std::stop_token stop_token() const { return stop_.get_token(); }
  void request_stop() { stop_.request_stop(); }
  Task<void> close();
  // Waits for the running tasks without asking them to stop.
  Task<Wake> drain(Deadline deadline);
  std::size_t running() const { return running_; }

 private:
  detail::Detached run(Task<void> task);
  std::size_t running_ = 0;
  std::stop_source stop_;
  ParkingLot lot_;
};

}  // namespace mayfly::io
