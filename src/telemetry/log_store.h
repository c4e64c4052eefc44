// LogStore: log groups, streams and events per account and region, on a store of their own.
//
// Groups are kept in memory; streams only while something is written to them: an environment has a
// stream of its own, and they stay long after it.
//
// Called by telemetry/ (the lines of instances) and services/logs/ (the API). Lines are batched and
// visible within limits::log_flush_time; what the API puts is durable when it is acknowledged.
// Threads: loop only. Ends with close(), which writes what waits.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>

#include "base/limits.h"
#include "base/observer.h"
#include "io/park.h"
#include "telemetry/log_types.h"

namespace mayfly::telemetry {

struct LogSettings {
  std::uint64_t total_bytes = limits::logs_total_bytes;
  std::size_t instance_bytes_per_second = limits::instance_log_bytes_per_second;
  std::size_t pending_bytes = limits::log_pending_bytes;
};

class LogStore {
 public:
  static io::Task<Result<std::unique_ptr<LogStore>>> open(io::Loop& loop, store::Store& store,
                                                          LogSettings settings = {});
  ~LogStore();

  // Groups. Errors: already_exists, not_found.
  io::Task<Result<>> create_group(LogGroup group);
  io::Task<Result<>> delete_group(Scope scope, std::string name);
  const LogGroup* find_group(const Scope& scope, std::string_view name) const;
  // By name, after `after`, at most `limit`; the pointers live until the next co_await.
  std::vector<const LogGroup*> groups(const Scope& scope, std::string_view prefix,
                                      std::string_view after, std::size_t limit) const;
  io::Task<Result<>> set_retention(Scope scope, std::string name, std::optional<int> days);
  io::Task<Result<>> set_tags(Scope scope, std::string name,
                              std::map<std::string, std::string> tags);
  Result<std::uint64_t> stored_bytes(const Scope& scope, std::string_view group) const;
  std::uint64_t total_bytes() const { return total_bytes_; }

  // Streams.
  io::Task<Result<>> create_stream(Scope scope, std::string group, std::string name);
  io::Task<Result<>> delete_stream(Scope scope, std::string group, std::string name);
  Result<std::optional<LogStream>> find_stream(const Scope& scope, std::string_view group,
                                               std::string_view name) const;
  // By name, after `after`, at most `limit`. Of a group that is not there: none.
  struct StreamQuery {
    std::string prefix{};
    std::string after{};
    std::size_t limit = SIZE_MAX;
  };
  io::Task<Result<std::vector<LogStream>>> streams(Scope scope, std::string group,
                                                   StreamQuery query);
  std::size_t streams_in_memory() const;

  // Events. The stream must be there; durable when it returns.
  io::Task<Result<>> put_events(Scope scope, std::string group, std::string stream,
                                std::vector<NewLogEvent> events);
  // Answers after all lines written so far are visible. Expired events are not answered.
  io::Task<Result<std::vector<LogEvent>>> events(Scope scope, std::string group,
                                                 LogEventQuery query);
  // A line of an instance: group and stream are made when they are not there. Never blocks; bounded
  // per instance and in sum, with a visible line that tells how many were dropped.
  void add_line(const LogLine& line);
  std::uint64_t dropped_lines() const { return dropped_lines_; }

  // `on_event` hears every event of the group from now on, when it becomes visible.
  using SubscriptionId = std::uint64_t;
  SubscriptionId subscribe(const Scope& scope, std::string_view group,
                           std::function<void(const LogEvent&)> on_event);
  void unsubscribe(SubscriptionId id) { subscriptions_.erase(id); }

  // Waits until every line added so far is visible.
  io::Task<void> settle();
  // Enforces retention and total size now (also done by itself, see log_keeping.cc).
  io::Task<Result<>> enforce();
  io::Task<void> close();

 private:
  struct Group {
    LogGroup info;
    // Those that are being written to, or whose record is to be written; others lie in the store
    // alone. Whoever holds one keeps it here (rest()).
    std::map<std::string, std::shared_ptr<LogStream>, std::less<>> live;
    std::uint64_t bytes = 0;
    bool saved = false;  // the record is in the store
    std::set<std::string> unsaved_streams;
  };
  using GroupKey = std::pair<Scope, std::string>;
  // Where the lines of a stream go, kept so that a line costs one look-up. `entry` numbers the
  // stream's last entry of pending_ (counted from the first there ever was).
  struct Target {
    Group* group = nullptr;
    std::shared_ptr<LogStream> stream;
    std::string log;
    std::uint64_t entry = UINT64_MAX;
    std::int64_t record_due_ms = 0;  // when the record of the stream is to be written again
  };
  struct TargetKey {
    std::string account, region, group, stream;
    bool operator==(const TargetKey&) const = default;
  };
  struct TargetView {
    std::string_view account, region, group, stream;
  };
  struct TargetHash {
    using is_transparent = void;
    // Names of streams end with random digits.
    std::size_t operator()(const TargetKey& key) const {
      return (*this)(TargetView{{}, {}, {}, key.stream});
    }
    std::size_t operator()(const TargetView& key) const {
      std::size_t out = 0;
      std::size_t size = std::min(sizeof out, key.stream.size());
      std::memcpy(&out, key.stream.data() + key.stream.size() - size, size);
      return out;
    }
  };
  struct TargetEqual {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const {
      return a.stream == b.stream && a.group == b.group && a.account == b.account &&
             a.region == b.region;
    }
  };
  struct Saved {
    std::string log;
    std::shared_ptr<LogStream> stream;  // null: the group
  };
  // While a group or a stream is being deleted, what the store holds of it is gone already.
  class Deletion {
   public:
    Deletion(std::multiset<std::string>& all, std::string key)
        : all_(all), at_(all.insert(std::move(key))) {}
    ~Deletion() { all_.erase(at_); }
    Deletion(const Deletion&) = delete;
    Deletion& operator=(const Deletion&) = delete;

   private:
    std::multiset<std::string>& all_;
    std::multiset<std::string>::iterator at_;
  };
  struct Pending {
    store::Batch::Append entry;
    std::size_t lines = 1;
  };
  struct Subscription {
    std::string log;
    std::function<void(const LogEvent&)> on_event;
  };
  // Token bucket of one instance, and what it has lost.
  struct Meter {
    double tokens = 0;
    MonoTime at{};
    std::uint64_t dropped = 0;
    bool notice_planned = false;
    Scope scope;
    std::string group;
    std::string stream;
  };

  LogStore(io::Loop& loop, store::Store& store, LogSettings settings);
  Result<> load();
  Group* group_of(const Scope& scope, std::string_view name);
  const Group* group_of(const Scope& scope, std::string_view name) const;
  Group* group_of_log(std::string_view log);
  bool is_deleting(const LogGroup& group, std::string_view stream) const;
  Result<std::optional<LogStream>> stored_stream(const LogGroup& group,
                                                 std::string_view name) const;
  // Null: there is no such stream.
  Result<std::shared_ptr<LogStream>> open_stream(Group& group, std::string_view name);
  void rest(Group& group, const std::string& name);  // nobody may hold it any more
  io::Task<Result<>> replace(LogGroup changed);
  void save_again(Group& group);
  void count_bytes(Group& group);
  static void touch(LogStream& stream, std::int64_t time_ms, std::int64_t ingested_ms);

  // log_lines.cc
  bool admit(const LogLine& line);
  void plan_notice(const InstanceId& instance, Meter& meter);
  void notice(const InstanceId& instance);
  void prune_meters();
  Target& target_of(const Scope& scope, std::string_view group, std::string_view stream,
                    std::int64_t now);
  void forget_targets();
  void plan_record(Target& target, std::int64_t due_ms);
  // `now` by platform time.
  void push(const Scope& scope, std::string_view group, std::string_view stream, WallTime time,
            std::int64_t now, std::string_view text, bool packed);
  void plan_flush();
  io::Task<void> flush();
  std::size_t take_pending(store::Batch& batch);
  std::vector<Saved> save_changed(store::Batch& batch);
  void saved(std::vector<Saved> streams, bool done);
  void committed(const store::Batch& batch);
  void tell_subscribers(const store::Batch& batch);
  void forget_pending(std::string_view log, const std::string* stream);

  // log_keeping.cc
  io::Task<void> keep();
  io::Task<Result<>> enforce_retention();
  io::Task<Result<>> enforce_total();
  io::Task<Result<>> trim(GroupKey key, std::int64_t before_ms);
  std::int64_t oldest_kept_ms(const LogGroup& group) const;
  std::int64_t now_ms() const { return epoch_millis(loop_.clock().platform()); }

  io::Loop& loop_;
  store::Store& store_;
  LogSettings settings_;
  std::map<GroupKey, Group> groups_;
  std::multiset<std::string> deleting_;  // names of logs, keys of streams
  std::uint64_t total_bytes_ = 0;
  std::map<SubscriptionId, Subscription> subscriptions_;
  SubscriptionId next_subscription_ = 1;

  std::deque<Pending> pending_;
  std::uint64_t taken_ = 0;  // entries that have left the front of pending_
  std::unordered_map<TargetKey, Target, TargetHash, TargetEqual> targets_;
  std::pair<const TargetKey, Target>* last_target_ = nullptr;  // of them: lines come in rows
  std::size_t pending_bytes_ = 0;
  std::uint64_t added_ = 0;    // lines ever
  std::uint64_t settled_ = 0;  // lines that left pending_: visible, or lost with the disk
  std::uint64_t dropped_lines_ = 0;
  std::map<InstanceId, Meter> meters_;
  std::set<Group*> changed_;
  std::optional<io::Loop::TimerId> flush_timer_;
  std::set<io::Loop::TimerId> notice_timers_;
  bool flushing_ = false;
  bool closing_ = false;
  io::ParkingLot settled_lot_;
  io::Event look_;
  io::TaskScope scope_;
};

}  // namespace mayfly::telemetry
