// Pool: the execution environments of all functions. Hands out idle ones (the latest used first),
// starts new ones within the machine's bounds, ends those nobody needs.
//
// A request without an idle environment asks for a start and then takes whichever environment comes
// first: the one started for it or one that another request gives back. So a burst on few
// processors is served by the first environments that are up, not by the slowest start.
//
// Calls that end within microseconds are not worth a further process: while as many environments of
// a function are at work as there are processors, a request waits a moment for one of them. One
// process then stays in the processor's cache and has its code compiled, instead of sixteen. Where
// no call ends for a moment (one that is not quick after all), those at work count no longer, and a
// few of the held requests are served by idle environments or starts; then twice as many.
//
// Where such a function writes no output either, the events of held requests are sent ahead: they
// lie in the guest's channel behind the one under way, so that neither process sleeps between two
// calls. A call that keeps its environment for a moment has those behind it called back, and they
// are held as before; so have one that ends its environment.
//
// An environment that runs several calls at one time (Runnable::max_concurrency) has that many
// places, and a lease is one of them. The environment that has the fewest free goes first: a
// function has as few environments as its calls need, further ones come to rest and end, and a
// guest that is awake already takes several events at one waking. Who allows so many calls says
// that an environment bears them.
//
// Where the machine is short of memory, of room for environments or of processors (machine.h),
// starts wait: functions take turns in them by what their starts cost (fair_queue.h), one that has
// its share of busy processors at work already waits for others, and a caller waits for
// Settings::start_wait at most (pool_starts.cc). What is idle ends when nobody is likely to come
// back for it, or earlier, the least valuable first, where memory is short (pool_keep.cc).
//
// Owns every environment, with the invocations that run in it. Loop thread; close() before
// destruction.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "invoke/environment.h"
#include "invoke/fair_queue.h"
#include "invoke/habits.h"
#include "invoke/machine.h"
#include "invoke/templates.h"

namespace mayfly::invoke {

// All of an environment, or a place in it.
using Lease = std::shared_ptr<Environment>;

class Pool {
 public:
  explicit Pool(const Deps& deps);

  // An idle environment, or null.
  Lease take_idle(const Runnable& runnable);
  // What was taken and is not used after all.
  void put_back(Lease environment);
  // Whether wait() would first try to get along with the environments at work, or with the places
  // of those that start.
  bool shares(const Runnable& runnable) const;
  // Waits for an environment; it may be broken() (see Environment::start). `request` is what it
  // is to run next, and may be sent ahead. Errors: throttled when the machine stays full, what
  // choose_runtime or the launcher said, cancelled while closing.
  io::Task<Result<Lease>> wait(std::shared_ptr<const Runnable> runnable, const Request& request);
  // After every invocation: keeps it, hands it on, or ends it.
  void give_back(Lease environment);

  void retire(std::string_view concurrency_key, std::string_view keep_pool_key);
  // Keeps so many environments of the version as Runnable::provisioned says (pool_provision.cc).
  void provision(const std::shared_ptr<const Runnable>& runnable);
  Provision provision_of(std::string_view pool_key) const;
  // Initialises a version with SnapStart (pool_snapshot.cc).
  void snapshot(std::shared_ptr<const Runnable> runnable, std::shared_ptr<SnapshotCall> call);
  // Ends what is left of one version.
  void forget(std::string_view pool_key);
  // `to` is called from the function `from` (a concurrency key): where that is a habit, an
  // environment of `to` is made ready when a call of `from` begins (pool_prewarm.cc).
  void note_hop(const std::string& from, const std::shared_ptr<const Runnable>& to);
  std::size_t environments() const { return live_.size(); }
  std::size_t waiting() const { return waiting_; }  // callers, for an environment
  const Templates& templates() const { return templates_; }
  // Refuses what waits and ends what is idle.
  void refuse();
  void kill_all();
  // After refuse(), when every lease is back: waits until all is gone.
  io::Task<void> close();

 private:
  struct Waiter {
    Waiter(io::Loop& loop, const Request& of) : request(of), ready(loop) {}
    const Request& request;
    io::Event ready;
    Lease environment;
    std::optional<Error> error;
    bool held = false;         // no start was asked for
    MonoTime since{};          // it waits
    std::uint32_t number = 0;  // of its event, where that was sent ahead
  };
  // An environment at work.
  struct Seat {
    Environment* environment = nullptr;
    MonoTime since{};               // when its call began
    bool slow = false;              // known to be at a long call
    std::vector<Waiter*> behind{};  // their events were sent ahead, in this order
    Lease shared = nullptr;         // an environment of several places
    int calls = 0;                  // … and those that are taken
  };
  // How long calls keep the guest busy, by the guest's own clock: not what they wait for a
  // processor.
  struct Pace {
    bool quick = false;   // nearly all calls of the last whole window were quick
    bool silent = false;  // … and none wrote any output
    int calls = 0;        // of the window that runs
    int long_calls = 0;
    int loud_calls = 0;
    MonoTime last_return{};
    std::size_t release = 0;  // so many held requests at the next stop
  };
  struct Group {
    std::string key;
    std::shared_ptr<const Runnable> runnable;
    std::shared_ptr<Habits> habits;  // of the function
    bool retired = false;
    std::vector<Lease> idle;  // spares first, the latest used last
    std::list<Waiter*> waiters;
    std::size_t starting = 0;  // starts under way
    std::size_t swapped = 0;   // of them, asked for by callers that were given a spare instead
    std::size_t queued = 0;    // starts asked for
    std::vector<Seat> busy;
    std::size_t slow = 0;  // of them
    MonoTime leased_at{};
    Pace pace;
    std::size_t provisioned = 0;  // environments that are kept
    std::string provision_failure;
    MonoTime provision_retry{};
  };

  // A start under way, which has one of few slots until it lasts long.
  struct Start {
    Group* group = nullptr;
    MonoTime since{};
    bool has_slot = true;
  };
  using StartAt = std::list<Start>::iterator;

  Group& group_of(const std::shared_ptr<const Runnable>& runnable);
  Group* find_group(const Runnable& runnable) const;
  void forget_if_empty(Group& group);
  void retire_where(const std::function<bool(const Runnable&)>& is_old);
  void pump_starts();
  // Calls that what is starting will have places for.
  std::size_t starting_places(const Group& group) const {
    return group.starting * static_cast<std::size_t>(places(group));
  }
  bool slots_free() const { return starting_ < max_starts_; }
  bool may_start(const Group& group) const;
  bool has_place(const Group& group);
  StartAt begin_start(Group& group);
  Duration end_start(StartAt start);
  void spawn_start(Group& group, bool spare);
  void free_slot(Start& start);
  Result<> check_waiting(const Group& group) const;
  void give_up_waiting();
  Error machine_full() const;
  void share_processors();
  void arm_watch(Duration wait);
  void watch();
  bool make_room(std::uint64_t bytes);
  // Of all functions, or of those that are meant.
  bool end_least_valuable(const std::function<bool(const Runnable&)>& of_whom);
  double value_of(const Group& group, const Environment& environment, MonoTime now) const;
  void keep_idle_within_memory();
  void weigh();
  void prewarm_next(Habits& habits);
  void note_first_use(Group& group, MonoTime now);
  void note_busy(Group& group, bool more);
  Result<> make_tenant_room(const Runnable& runnable);
  Result<> make_capacity_room(const Runnable& runnable);
  bool has_room(std::uint64_t bytes) const { return taken_bytes_ + bytes <= room_bytes_; }
  void count(Environment* environment, std::uint64_t bytes);
  io::Task<void> start_one(StartAt start, bool spare);
  Result<Lease> make_environment(Group& group);
  void adopt(Lease environment);
  io::Task<void> run_snapshot(std::shared_ptr<const Runnable> runnable,
                              std::shared_ptr<SnapshotCall> call);
  io::Task<Result<Snapshot>> take_snapshot(std::shared_ptr<const Runnable> runnable);
  io::Task<Result<Snapshot>> initialise_one(Group& group);
  void keep_spares(Group& group, MonoTime now);
  void make_due_spares();
  std::size_t spares_missing(const Group& group) const;
  void deliver(Group& group, Lease environment);
  void deliver_error(Group& group, const Error& error);
  static void store_idle(Group& group, Lease environment);
  void keep_idle(Group& group, Lease environment);
  void end(Lease environment);
  io::Task<void> end_task(Lease environment);
  void idle_exited(Environment* environment);
  bool holds(const Group& group) const;
  Lease pop_idle(Group& group, MonoTime now);
  Seat note_return(Group& group, const Environment& environment, MonoTime now);
  void note_pace(Group& group, const Environment& environment, MonoTime now);
  void arm_hold(MonoTime at);
  void check_holds();
  static MonoTime stuck_at(const Group& group);
  static MonoTime stuck_at(const Seat& seat);
  void release_holds(Group& group);
  void serve_held(Group& group, std::size_t count);
  void note_lease(Group& group, Environment& environment, MonoTime now);
  void hand_over(Group& group, Waiter& waiter, Lease environment, MonoTime now);
  void send_ahead(Group& group);
  static void call_back(Group& group, Seat& seat);
  void replace_ended(Group& group);
  void ask_for_start(Group& group);
  static std::size_t alive(const Group& group) {
    return group.idle.size() + group.busy.size() + group.starting;
  }
  // Environments that may end.
  static std::size_t dispensable(const Group& group) {
    return alive(group) - std::min(alive(group), group.provisioned);
  }
  // Environments of several places (pool_shared.cc).
  static int places(const Group& group) { return group.runnable->max_concurrency; }
  static bool shares(const Group& group) { return group.runnable->shares(); }
  static Lease take_place(Seat& seat);
  Lease take_place(Group& group);
  void serve_places(Group& group);
  void seat_shared(Group& group, Lease environment);
  void return_place(Group& group, const Environment& environment);
  void settle_seat(Group& group, const Environment& environment);
  void ask_for_places(Group& group);
  void place_freed(Environment* environment);
  void note_start(Group& group, const Error* error, bool broken);
  void refill_later(Duration wait);
  void refill();
  void arm_sweep(MonoTime at);
  void arm_retirement(WallTime at);
  void retire_aged();
  void sweep();

  // What an interpreter takes, roughly, and what one takes that shares its template's memory, until
  // it is known (weigh()).
  static constexpr std::uint64_t environment_share_bytes = 64 * limits::mib;
  static constexpr std::uint64_t fork_share_bytes = 8 * limits::mib;
  // What the kernel has for a jail, and nobody counts.
  static constexpr std::uint64_t jail_share_bytes = limits::mib / 2;
  static constexpr auto watch_every = std::chrono::seconds(1);  // while an environment lives
  // Spares are made when the call that took one has begun: not in its way.
  static constexpr auto spare_delay = std::chrono::milliseconds(2);
  // Held requests look for another way when no call ended for this time.
  static constexpr auto hold_stuck = std::chrono::milliseconds(5);

  const Deps& deps_;
  LogBuffer buffer_;
  Templates templates_;
  // Room is counted in bytes of memory: what each environment takes of its own.
  std::uint64_t room_bytes_;
  std::uint64_t taken_bytes_ = 0;
  std::size_t max_starts_;
  std::size_t width_;  // environments of one function that work at one time, of quick calls
  std::unordered_map<std::string, std::unique_ptr<Group>> groups_;
  mutable Group* last_group_ = nullptr;  // that was asked for; keys are long
  // Started and not ending, each with the room it was given.
  std::unordered_map<Environment*, std::uint64_t> live_;
  Machine machine_;
  AllHabits habits_;
  FairQueue<Group> start_queue_;  // groups with starts asked for
  std::list<Start> starts_;       // under way, the oldest first
  std::size_t starting_ = 0;      // slots taken
  bool held_back_ = false;        // slots are free and nobody may start
  bool sharing_ = false;          // weights differ
  std::size_t waiting_ = 0;       // callers that asked for a start
  std::size_t functions_at_work_ = 0;
  std::optional<io::Loop::TimerId> watch_timer_;
  std::size_t counted_ = 0;  // environments ever made
  bool closing_ = false;
  std::optional<io::Loop::TimerId> sweep_timer_;
  std::optional<io::Loop::PlatformTimerId> retirement_timer_;
  std::optional<io::Loop::TimerId> hold_timer_;
  std::optional<io::Loop::TimerId> spare_timer_;
  std::vector<std::string> spares_due_;  // keys of groups to be looked at then
  std::optional<io::Loop::TimerId> refill_timer_;
  std::size_t provisioned_groups_ = 0;
  int looks_ = 0;
  io::TaskScope tasks_;
};

}  // namespace mayfly::invoke
