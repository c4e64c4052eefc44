// Deliveries: what rules owe their targets, until each has it or its dead letter is sent. Rows are
// stored before the event is acknowledged, and go when a delivery has ended: a crash repeats what
// was under way, and loses nothing.
//
//   ev/SEQ        {"bus":ARN,"ms":…,"trace":…,"hops":…} and a newline, then the event's text
//   dl/SEQ/NNN    {"rule":KEY,"target":ID,"attempts":…,"due":…}
//
// Tried again after what may pass (throttled, unavailable, timeout …), 1 s later and then twice as
// long each time up to 8 min, with jitter, as long as the target's retry policy says (185 times,
// 24 hours). What will not pass (no permission, no resource) and what was tried in vain goes to the
// target's dead-letter queue (EventBridge user guide, "Using dead-letter queues to process
// undelivered events").
//
// With a circuit breaker (the tag mayfly:breaker of the rule; one for each of its targets) that is
// open, deliveries go to its fallback, or wait without being tried until they are too old.
//
// Loop thread; times are platform times. stop(), then close() before destruction.
#pragma once

#include <deque>

#include "base/random.h"
#include "events/switchboard.h"
#include "gate/breaker.h"
#include "gate/parked.h"
#include "services/events/config.h"
#include "services/events/counts.h"
#include "services/events/http_targets.h"

namespace mayfly::services::bus {

// What is known of an event beside its text.
struct Origin {
  BusRef bus;
  std::int64_t ingested_ms = 0;
  std::string trace = {};
  int hops = 0;  // from bus to bus
};

// An event as it is stored: "{"bus":…}", a line's end, its text.
std::string encode_event(const Origin& origin, const BusEvent& event);

class Deliveries {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    store::Store& store;
    const Config& config;
    const events::Switchboard& switchboard;
    HttpTargets& http;
    const Counts& counts;
  };
  explicit Deliveries(Deps deps);
  ~Deliveries();

  Result<> load();
  void start();
  void stop();
  io::Task<void> close();

  struct Job {
    std::uint64_t seq = 0;
    unsigned number = 0;
    std::string rule;  // its key
    std::string target;
    int attempts = 0;  // that failed
    std::int64_t first_ms = 0;
    std::int64_t due_ms = 0;
    bool admitted = false;  // its place in an API destination's rate is taken
  };
  struct Known {
    Origin origin;
    BusEvent event;
  };
  struct Prepared {
    std::shared_ptr<const Known> event;
    std::vector<Job> jobs;
  };
  // Rows for one event and what `rules` owe their targets for it; nothing where they have none.
  Prepared prepare(Origin origin, BusEvent event, const std::vector<Table<Rule>::Row>& rules,
                   store::Batch& batch);
  // Once these rows are stored.
  void begin(Prepared prepared);
  std::size_t waiting() const { return jobs_; }
  // A rule is there, has changed or is gone (nullptr).
  void rule_changed(const Table<Rule>::Row& before, const Table<Rule>::Row& after);
  std::size_t open_breakers() const { return breakers_.open(); }

 private:
  struct Held {
    std::shared_ptr<const Known> event;  // nullptr: in the store alone
    std::size_t jobs = 0;
  };
  struct Failure {
    Error error;
    bool final = false;
    std::string_view exhausted = {};
  };

  std::int64_t now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }
  void count(const Rule& rule, Step step) const {
    deps_.counts.add(rule.ref.bus, rule.ref.name, step);
  }
  Result<std::shared_ptr<const Known>> read(std::uint64_t seq);
  void drop_text(std::uint64_t seq);
  void pump();
  void arm();
  void wait(Job job);
  io::Task<void> run(Job job);
  // deliveries_push.cc
  io::Task<Result<>> attempt(const Rule& rule, const model::Target& target, const Known& known);
  io::Task<Result<>> push(const Rule& rule, const model::Target& target, const Known& known,
                          std::string arn);
  bool must_wait(const Job& job, const Rule& rule, const model::Target& target) const;
  void park(Job job, const model::Target& target);
  void release(const std::string& breaker);
  io::Task<void> failed(Job job, std::shared_ptr<const Rule> rule, model::Target target,
                        std::shared_ptr<const Known> known, Error error);
  io::Task<Result<>> dead_letter(const Job& job, const Rule& rule, const model::Target& target,
                                 const Known& known, const Failure& failure);
  io::Task<void> finish(Job job);
  std::int64_t backoff_ms(int attempts);

  Deps deps_;
  std::uint64_t next_seq_ = 1;
  std::map<std::uint64_t, Held> held_;
  std::size_t held_bytes_ = 0;
  std::size_t jobs_ = 0;
  std::deque<Job> ready_;
  std::multimap<std::int64_t, Job> waiting_;  // by when they are due
  std::size_t running_ = 0;
  // A slow target does not take every place.
  std::map<std::string, std::size_t, std::less<>> running_by_target_;
  std::map<std::string, std::deque<Job>, std::less<>> behind_;
  bool started_ = false;
  gate::Breakers breakers_;
  gate::Parked<Job> parked_;  // at open breakers
  std::optional<io::Loop::PlatformTimerId> timer_;
  io::TaskScope tasks_;
};

Result<Deliveries::Known> decode_event(std::string_view bytes);
// Of the breaker between a rule and one of its targets.
std::string breaker_key(std::string_view rule, std::string_view target);
// When a delivery is too old.
std::int64_t expires_ms(const Deliveries::Job& job, const model::Target& target);

}  // namespace mayfly::services::bus
