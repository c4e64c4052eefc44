// AsyncQueue: asynchronous events between their acceptance and their outcome. An event is a record
// of the store from the acknowledgement of enqueue() until its outcome is known, so it is run at
// least once whatever happens to the process. Where a destination hears of the outcome, its event
// takes the place of the record in one commit: it is neither lost nor doubled by a crash.
//
// Due events wait in lanes, one for each function, which take turns: a function with many or slow
// events holds up none of another. The order of due times is kept in memory (keys only, loaded at
// start); payloads stay in the store until they run. Times are platform times.
//
// Where a function has its events' flow controlled (AsyncFlow), its lane holds those that are due
// until their turn; their keys in memory, as those of all. A start holds them anew, in the order in
// which they fell due.
//
// Loop thread; owned by the Invoker; close() before destruction.
#pragma once

#include <deque>
#include <functional>
#include <set>

#include "invoke/async_flow.h"
#include "invoke/async_record.h"

namespace mayfly::invoke {

class AsyncQueue {
 public:
  using Run =
      std::function<io::Task<Result<events::Outcome>>(std::shared_ptr<const Runnable>, Request)>;
  AsyncQueue(const Deps& deps, Run run);

  // Reads the keys that a former process left.
  Result<> load();
  void start(Resolver resolver);
  // Of the events of one lane (async_lane()) from now on; what waits is held anew.
  void control_flow(const std::string& lane, std::optional<FunctionFlow> flow);
  io::Task<Result<>> enqueue(AsyncEvent event);
  std::size_t size() const { return waiting_.size() + due_ + running_; }
  // Starts nothing more and waits for what runs.
  void stop();
  io::Task<void> close();

 private:
  // What becomes of an event after a try: forgotten, or kept for later; and the events that tell
  // destinations.
  struct Next {
    std::optional<AsyncRecord> later{};
    std::int64_t due_ms = 0;
    std::vector<AsyncEvent> handovers{};
    bool ran = false;  // the function did
  };
  struct Lane {
    std::string name;
    std::deque<std::string> due;  // keys, the oldest first
    std::size_t running = 0;
    bool queued = false;  // in turn_
    // With flow control: who waits for its turn, and what goes past it (deliveries to resources,
    // what is too old, what cannot be read).
    std::unique_ptr<AsyncFlow> flow = nullptr;
    std::deque<std::string> plain = {};
    std::string front = {};  // of `due`, while there is no room to hold it
    std::int64_t front_expires_ms = 0;
    std::optional<io::Loop::PlatformTimerId> timer = {};
  };
  using Condition = Ending::Condition;

  void pump();
  void sort_due();
  bool may_start(const Lane& lane) const;
  bool start_one(Lane& lane);
  Lane& lane_of(const std::string& name);
  void take_turn(Lane& lane);
  bool has_work(Lane& lane) const;
  void drop_if_idle(Lane& lane);
  // async_queue_flow.cc
  void expect_returns();
  void absorb(Lane& lane);
  void absorb_one(Lane& lane, std::string key);
  void expire_front(Lane& lane);
  void arm_lane(Lane& lane);
  io::Task<void> pump_soon();
  struct Skipped {
    std::vector<AsyncFlow::Gone> gone;
    std::optional<store::Row> survivor = {};  // the record of whom they gave way to
    AsyncEvent event;                         // whose function, without its payload
    std::string group;                        // of its log
    std::string why;
  };
  io::Task<void> strike_out(Skipped skipped);
  void arm(std::int64_t due_ms);
  std::int64_t now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }
  io::Task<void> run_one(Lane& lane, std::string key, std::optional<AsyncFlow::Turn> turn);
  io::Task<Next> decide(AsyncRecord record);
  io::Task<Next> run(AsyncRecord record, AsyncTarget target);
  std::shared_ptr<events::Effects> begin_effects(const Runnable& runnable) const;
  Result<std::optional<std::string>> done_before(const AsyncEvent& event,
                                                 const Runnable& runnable) const;
  io::Task<Next> push_out(AsyncRecord record);
  Next after_function_failure(AsyncRecord record, const AsyncTarget& target,
                              const events::Outcome& outcome);
  Next after_platform_failure(AsyncRecord record, const AsyncTarget& target, const Error& error);
  Next finish(const AsyncRecord& record, const AsyncTarget& target, Condition condition,
              const events::Outcome* outcome);
  void tell(const Handover& whom, const Ending& ending, Next& next);
  void report(const AsyncEvent& event, AsyncStep step, Duration age = {});
  // false: the record stands as it was.
  io::Task<bool> settle(std::string key, Next next);

  const Deps& deps_;
  std::size_t max_running_;
  std::size_t max_running_total_;
  Run run_;
  Resolver resolver_;
  std::set<std::string> waiting_;                                 // keys in the order they fall due
  std::unordered_map<std::string, std::unique_ptr<Lane>> lanes_;  // with due or running events
  std::deque<Lane*> turn_;  // those with due events, who was served longest ago first
  std::unordered_map<std::string, FunctionFlow> flows_;  // by lane
  std::uint64_t flow_count_ = 0;
  std::set<std::string> again_;  // keys of what ran, and whose outcome could not be stored
  std::size_t due_ = 0;          // keys in lanes
  std::size_t running_ = 0;
  bool stopped_ = false;
  bool pumping_ = false;
  bool pump_again_ = false;
  bool pump_comes_ = false;
  std::optional<io::Loop::PlatformTimerId> timer_;
  io::TaskScope tasks_;
};

}  // namespace mayfly::invoke
