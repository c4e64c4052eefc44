// AsyncFlow: flow control (gate/flow.h) of one function's asynchronous events. Events stay records
// of the store; here are their keys, what their flow goes by, and when they are too old.
//
//   offer ─► held ─► next ─► (it runs) ─► finished ─┬─► its end
//              │                                    └─► it comes again, after its wait
//              └─► skipped or superseded: the queue strikes its record out
//
// An event that comes again (a retry) goes through concurrency and throttle as any other, and is
// neither skipped nor superseded. One that could not run (throttled) takes nothing off the
// throttle.
//
// Loop thread; owned by the lane of the queue.
#pragma once

#include <set>
#include <unordered_map>

#include "gate/flow.h"
#include "invoke/async_record.h"

namespace mayfly::invoke {

class AsyncFlow {
 public:
  // `number`: of this one among all that were made.
  AsyncFlow(const FunctionFlow& settings, std::uint64_t number);

  std::uint64_t number() const { return number_; }
  const FunctionFlow& settings() const { return settings_; }
  // When an event is too old.
  std::int64_t expires_ms(const AsyncRecord& record) const;
  // Whether one more event can be held.
  bool room() const { return flow_.room_items() > 0 && flow_.room_bytes() > 0; }
  struct Gone {
    std::string key;  // of the record that is to be struck out
    std::string request_id;
  };
  struct Offered {
    std::vector<Gone> gone = {};
    bool held = true;           // else it is among those that are gone
    std::int64_t first_ms = 0;  // of a debounce, when what is held supersedes others
  };
  // `again`: it was let through before.
  Offered offer(const std::string& key, const AsyncRecord& record, bool again, std::int64_t now_ms);
  // An event that an earlier process let through, and that will be offered again.
  void expect(const AsyncRecord& record) {
    flow_.expect(gate::mark_of(settings_.settings, record.event.event.payload).key);
  }
  struct Turn {
    std::string key;       // of the record
    std::string flow_key;  // for finished()
    std::uint64_t number = 0;
  };
  bool ready(std::int64_t now_ms) { return flow_.ready(now_ms); }
  std::optional<Turn> next(std::int64_t now_ms);
  void finished(const Turn& turn, std::int64_t now_ms, gate::Flow::Finish how);
  // Keys of those that have waited too long; they are not held any more.
  std::vector<std::string> take_expired(std::int64_t now_ms);
  // All that is held, which then is not any more.
  std::vector<std::string> take_all();
  // When next() or take_expired() may have something, by time alone; INT64_MAX: never.
  std::int64_t wakes_ms() const;
  // Nothing is lost with it.
  bool idle() const { return flow_.idle(); }

 private:
  struct Held {
    std::string flow_key;
    std::string request_id;
    std::int64_t expires_ms = 0;
  };
  void forget(const std::string& key);

  FunctionFlow settings_;
  std::uint64_t number_;
  gate::Flow flow_;
  std::unordered_map<std::string, Held> held_;             // by the record's key
  std::set<std::pair<std::int64_t, std::string>> expiry_;  // times and keys
};

}  // namespace mayfly::invoke
