#include "telemetry/log_store.h"

#include "telemetry/log_codec.h"

namespace mayfly::telemetry {
namespace {

constexpr std::size_t load_step = 1'000;  // rows that are read without a rest

std::unexpected<Error> no_group(std::string_view name) {
  return fail(ErrorKind::not_found, "there is no log group " + std::string(name));
}

std::unexpected<Error> no_stream(std::string_view name) {
  return fail(ErrorKind::not_found, "there is no log stream " + std::string(name));
}

// An entry may hold events on both sides of a place: reading begins with that entry.
store::LogPlace place_before_entry(const store::LogPlace& place, bool descending) {
  std::uint64_t entry = place.seq / entry_events_max;
  return {place.time_ms, descending ? entry + 1 : entry - std::min<std::uint64_t>(entry, 1)};
}

// Adds the events that are asked for; false when the page is full.
bool take_events(std::vector<store::Entry> entries, const LogEventQuery& query, std::size_t& bytes,
                 std::vector<LogEvent>& out) {
  for (auto& entry : entries) {
    auto events = decode_events(std::move(entry));
    if (query.descending) std::ranges::reverse(events);
    for (auto& event : events) {
      bool asked = !query.place ||
                   (query.descending ? event.place() < *query.place : event.place() > *query.place);
      if (!asked) continue;
      bytes += event.message.size();
      if (out.size() == query.limit || (bytes > query.max_bytes && !out.empty())) return false;
      out.push_back(std::move(event));
    }
  }
  return out.size() < query.limit;
}

}  // namespace

LogStore::LogStore(io::Loop& loop, store::Store& store, LogSettings settings)
    : loop_(loop),
      store_(store),
      settings_(settings),
      settled_lot_(loop),
      look_(loop),
      scope_(loop) {}

LogStore::~LogStore() {
  if (flush_timer_) loop_.cancel_timer(*flush_timer_);
  for (const auto& timer : notice_timers_) loop_.cancel_timer(timer);
}

io::Task<Result<std::unique_ptr<LogStore>>> LogStore::open(io::Loop& loop, store::Store& store,
                                                           LogSettings settings) {
  std::unique_ptr<LogStore> logs(new LogStore(loop, store, settings));
  CO_TRY(logs->load());
  logs->scope_.spawn(logs->keep());
  co_return logs;
}

Result<> LogStore::load() {
  for (std::string after;;) {
    TRY_ASSIGN(auto rows, store_.scan("g/", after, load_step));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto info, decode_group(row.key, row.value));
      TRY_ASSIGN(auto bytes, store_.log_bytes(log_name(info.scope, info.name)));
      total_bytes_ += bytes;
      GroupKey key{info.scope, info.name};
      groups_.emplace(std::move(key), Group{std::move(info), {}, bytes, true, {}});
    }
    if (rows.size() < load_step) break;
    after = rows.back().key;
  }
  return {};
}

LogStore::Group* LogStore::group_of(const Scope& scope, std::string_view name) {
  auto found = groups_.find(GroupKey{scope, std::string(name)});
  return found == groups_.end() ? nullptr : &found->second;
}

const LogStore::Group* LogStore::group_of(const Scope& scope, std::string_view name) const {
  auto found = groups_.find(GroupKey{scope, std::string(name)});
  return found == groups_.end() ? nullptr : &found->second;
}

LogStore::Group* LogStore::group_of_log(std::string_view log) {
  auto first = log.find('/');
  auto second = log.find('/', first + 1);
  if (first == log.npos || second == log.npos) return nullptr;
  Scope scope{AccountId(std::string(log.substr(0, first))),
              Region(std::string(log.substr(first + 1, second - first - 1)))};
  return group_of(scope, log.substr(second + 1));
}

void LogStore::touch(LogStream& stream, std::int64_t time_ms, std::int64_t ingested_ms) {
  stream.first_event_ms = std::min(stream.first_event_ms.value_or(time_ms), time_ms);
  stream.last_event_ms = std::max(stream.last_event_ms.value_or(time_ms), time_ms);
  stream.last_ingestion_ms = ingested_ms;
}

io::Task<Result<>> LogStore::create_group(LogGroup group) {
  if (group_of(group.scope, group.name) != nullptr) {
    co_return fail(ErrorKind::already_exists, "there is a log group " + group.name);
  }
  GroupKey key{group.scope, group.name};
  store::Batch batch;
  batch.puts.push_back({group_key(group), encode_group(group)});
  // In the map before the disk has it, so that a second create sees it; taken back on failure.
  groups_.emplace(key, Group{std::move(group), {}, 0, true, {}});
  auto done = co_await store_.commit(std::move(batch));
  if (!done) {
    forget_targets();
    if (auto* made = group_of(key.first, key.second)) changed_.erase(made);
    groups_.erase(key);
    co_return std::unexpected(done.error());
  }
  co_return Result<>{};
}

io::Task<Result<>> LogStore::delete_group(Scope scope, std::string name) {
  auto* group = group_of(scope, name);
  if (group == nullptr) co_return no_group(name);
  std::string log = log_name(scope, name);
  store::Batch batch;
  batch.deletes.push_back(group_key(group->info));
  auto prefix = stream_key_prefix(group->info);
  for (std::string after;;) {
    CO_TRY_ASSIGN(auto rows, store_.scan(prefix, after, load_step));
    for (auto& row : rows) batch.deletes.push_back(std::move(row.key));
    if (rows.size() < load_step) break;
    after = batch.deletes.back();
  }
  // Their records may be on the way.
  for (const auto& [stream, info] : group->live) batch.deletes.push_back(prefix + stream);
  forget_pending(log, nullptr);
  total_bytes_ -= std::min(total_bytes_, group->bytes);
  changed_.erase(group);
  groups_.erase(GroupKey{scope, name});
  {
    Deletion deletion(deleting_, log);
    // The events first: a group that a crash leaves without events can be deleted again, events
    // without a group would come back with the next group of the name.
    CO_TRY(co_await store_.drop_log(log));
    CO_TRY(co_await store_.commit(std::move(batch)));
  }
  // A line may have made the group anew meanwhile, and these deletes took its records.
  if (auto* again = group_of(scope, name)) save_again(*again);
  co_return Result<>{};
}

const LogGroup* LogStore::find_group(const Scope& scope, std::string_view name) const {
  const auto* group = group_of(scope, name);
  return group == nullptr ? nullptr : &group->info;
}

std::vector<const LogGroup*> LogStore::groups(const Scope& scope, std::string_view prefix,
                                              std::string_view after, std::size_t limit) const {
  std::vector<const LogGroup*> out;
  auto at = after >= prefix && !after.empty()
                ? groups_.upper_bound(GroupKey{scope, std::string(after)})
                : groups_.lower_bound(GroupKey{scope, std::string(prefix)});
  for (; at != groups_.end() && out.size() < limit; ++at) {
    if (at->first.first != scope || !at->first.second.starts_with(prefix)) break;
    out.push_back(&at->second.info);
  }
  return out;
}

io::Task<Result<>> LogStore::set_retention(Scope scope, std::string name, std::optional<int> days) {
  auto* group = group_of(scope, name);
  if (group == nullptr) co_return no_group(name);
  LogGroup changed = group->info;
  changed.retention_days = days;
  co_return co_await replace(std::move(changed));
}

io::Task<Result<>> LogStore::set_tags(Scope scope, std::string name,
                                      std::map<std::string, std::string> tags) {
  auto* group = group_of(scope, name);
  if (group == nullptr) co_return no_group(name);
  LogGroup changed = group->info;
  changed.tags = std::move(tags);
  co_return co_await replace(std::move(changed));
}

io::Task<Result<>> LogStore::replace(LogGroup changed) {
  store::Batch batch;
  batch.puts.push_back({group_key(changed), encode_group(changed)});
  CO_TRY(co_await store_.commit(std::move(batch)));
  if (auto* group = group_of(changed.scope, changed.name)) group->info = std::move(changed);
  co_return Result<>{};
}

// Writes the records of a group and of its streams with the next flush.
void LogStore::save_again(Group& group) {
  group.saved = false;
  for (const auto& [name, stream] : group.live) group.unsaved_streams.insert(name);
  changed_.insert(&group);
  plan_flush();
}

// The store counts; asking it keeps the sum right whatever was in flight.
void LogStore::count_bytes(Group& group) {
  auto bytes = store_.log_bytes(log_name(group.info.scope, group.info.name));
  if (!bytes) return;
  total_bytes_ = total_bytes_ - std::min(total_bytes_, group.bytes) + *bytes;
  group.bytes = *bytes;
}

Result<std::uint64_t> LogStore::stored_bytes(const Scope& scope, std::string_view group) const {
  const auto* found = group_of(scope, group);
  if (found == nullptr) return no_group(group);
  return found->bytes;
}

io::Task<Result<>> LogStore::create_stream(Scope scope, std::string group, std::string name) {
  auto* owner = group_of(scope, group);
  if (owner == nullptr) co_return no_group(group);
  CO_TRY_ASSIGN(auto there, find_stream(scope, group, name));
  if (there) co_return fail(ErrorKind::already_exists, "there is a log stream " + name);
  auto stream = std::make_shared<LogStream>(LogStream{name, now_ms(), {}, {}, {}});
  store::Batch batch;
  batch.puts.push_back({group_key(owner->info), encode_group(owner->info)});
  batch.puts.push_back({stream_key(owner->info, name), encode_stream(*stream)});
  // In the map before the disk has it, as with groups.
  owner->live.emplace(name, stream);
  auto done = co_await store_.commit(std::move(batch));
  stream.reset();
  // Where the disk refused it, it is gone with this, unless a line has made it meanwhile.
  if (auto* again = group_of(scope, group)) rest(*again, name);
  if (!done) co_return std::unexpected(done.error());
  co_return Result<>{};
}

io::Task<Result<>> LogStore::delete_stream(Scope scope, std::string group, std::string name) {
  auto* owner = group_of(scope, group);
  if (owner == nullptr) co_return no_group(group);
  CO_TRY_ASSIGN(auto there, find_stream(scope, group, name));
  if (!there) co_return no_stream(name);
  std::string log = log_name(scope, group);
  forget_pending(log, &name);
  owner->live.erase(name);
  owner->unsaved_streams.erase(name);
  store::Batch batch;
  batch.deletes.push_back(stream_key(owner->info, name));
  {
    Deletion deletion(deleting_, batch.deletes[0]);
    CO_TRY(co_await store_.drop_stream(log, name));
    CO_TRY(co_await store_.commit(std::move(batch)));
  }
  if (auto* again = group_of(scope, group)) {
    count_bytes(*again);
    save_again(*again);
  }
  co_return Result<>{};
}

bool LogStore::is_deleting(const LogGroup& group, std::string_view stream) const {
  return !deleting_.empty() && (deleting_.contains(log_name(group.scope, group.name)) ||
                                deleting_.contains(stream_key(group, stream)));
}

Result<std::optional<LogStream>> LogStore::stored_stream(const LogGroup& group,
                                                         std::string_view name) const {
  if (is_deleting(group, name)) return std::nullopt;
  TRY_ASSIGN(auto row, store_.get(stream_key(group, name)));
  if (!row) return std::nullopt;
  std::string log;
  return decode_stream(row->key, row->value, log);
}

Result<std::optional<LogStream>> LogStore::find_stream(const Scope& scope, std::string_view group,
                                                       std::string_view name) const {
  const auto* owner = group_of(scope, group);
  if (owner == nullptr) return std::nullopt;
  auto found = owner->live.find(name);
  if (found != owner->live.end()) return *found->second;
  return stored_stream(owner->info, name);
}

Result<std::shared_ptr<LogStream>> LogStore::open_stream(Group& group, std::string_view name) {
  auto found = group.live.find(name);
  if (found != group.live.end()) return found->second;
  TRY_ASSIGN(auto stored, stored_stream(group.info, name));
  if (!stored) return nullptr;
  auto stream = std::make_shared<LogStream>(std::move(*stored));
  group.live.emplace(stream->name, stream);
  return stream;
}

// A stream that nobody holds and whose record is written lies in the store alone.
void LogStore::rest(Group& group, const std::string& name) {
  auto found = group.live.find(name);
  if (found == group.live.end() || found->second.use_count() > 1) return;
  if (group.unsaved_streams.contains(name) || is_deleting(group.info, name)) return;
  group.live.erase(found);
}

io::Task<Result<std::vector<LogStream>>> LogStore::streams(Scope scope, std::string group,
                                                           StreamQuery query) {
  std::vector<LogStream> out;
  const auto* owner = group_of(scope, group);
  if (owner == nullptr) co_return out;
  std::string first = stream_key_prefix(owner->info);
  std::string after = query.after.empty() ? "" : first + query.after;
  // Whether the store or the memory knows it: whatever happens between two steps, it is once in
  // `found`, with what is known last.
  std::map<std::string, LogStream> found;
  while (found.size() < query.limit) {
    std::size_t step = std::min(load_step, query.limit);
    CO_TRY_ASSIGN(auto rows, store_.scan(first + query.prefix, after, step));
    owner = group_of(scope, group);
    if (owner == nullptr) break;
    std::string log;
    for (const auto& row : rows) {
      CO_TRY_ASSIGN(auto stream, decode_stream(row.key, row.value, log));
      if (!is_deleting(owner->info, stream.name)) found.emplace(stream.name, std::move(stream));
    }
    if (rows.size() < step) break;
    after = rows.back().key;
    co_await io::sleep_for(loop_, Duration::zero());
  }
  if (owner = group_of(scope, group); owner == nullptr) co_return out;
  for (auto at = owner->live.lower_bound(query.prefix); at != owner->live.end(); ++at) {
    if (!at->first.starts_with(query.prefix)) break;
    if (at->first > query.after || query.after.empty()) {
      found.insert_or_assign(at->first, *at->second);
    }
  }
  for (auto& [name, stream] : found) {
    if (out.size() == query.limit) break;
    out.push_back(std::move(stream));
  }
  co_return out;
}

std::size_t LogStore::streams_in_memory() const {
  std::size_t out = 0;
  for (const auto& [key, group] : groups_) out += group.live.size();
  return out;
}

io::Task<Result<>> LogStore::put_events(Scope scope, std::string group, std::string stream,
                                        std::vector<NewLogEvent> events) {
  auto* owner = group_of(scope, group);
  if (owner == nullptr) co_return no_group(group);
  CO_TRY_ASSIGN(auto target, open_stream(*owner, stream));
  if (target == nullptr) co_return no_stream(stream);
  std::string log = log_name(scope, group);
  std::int64_t now = now_ms();
  store::Batch batch;
  for (const auto& event : events) {
    touch(*target, event.time_ms, now);
    batch.appends.push_back({log, stream, event.time_ms, encode_event(now, event.message)});
  }
  batch.puts.push_back({group_key(owner->info), encode_group(owner->info)});
  batch.puts.push_back({stream_key(owner->info, stream), encode_stream(*target)});
  store::Batch copy;
  copy.appends = batch.appends;
  auto done = co_await store_.commit(std::move(batch));
  target.reset();
  if (auto* again = group_of(scope, group)) rest(*again, stream);
  if (!done) co_return std::unexpected(done.error());
  committed(copy);
  tell_subscribers(copy);
  co_return Result<>{};
}

io::Task<Result<std::vector<LogEvent>>> LogStore::events(Scope scope, std::string group,
                                                         LogEventQuery query) {
  co_await settle();
  const auto* owner = group_of(scope, group);
  if (owner == nullptr) co_return no_group(group);
  store::LogQuery ask;
  ask.log = log_name(scope, group);
  ask.order = store::LogOrder::time;
  ask.stream = std::move(query.stream);
  ask.from_ms = std::max(query.from_ms, oldest_kept_ms(owner->info));
  ask.to_ms = query.to_ms;
  ask.limit = query.limit;
  ask.max_bytes = query.max_bytes;
  ask.descending = query.descending;
  if (query.place) ask.place = place_before_entry(*query.place, query.descending);
  std::vector<LogEvent> out;
  std::size_t bytes = 0;
  // Entries are no events: the first may end at the place that was asked for, and the store's own
  // bounds count entries.
  for (bool more = query.limit > 0; more;) {
    CO_TRY_ASSIGN(auto entries, store_.read(ask));
    if (entries.empty()) break;
    ask.place = store::LogPlace{entries.back().time_ms, entries.back().seq};
    more = take_events(std::move(entries), query, bytes, out);
  }
  co_return out;
}

LogStore::SubscriptionId LogStore::subscribe(const Scope& scope, std::string_view group,
                                             std::function<void(const LogEvent&)> on_event) {
  subscriptions_.emplace(next_subscription_,
                         Subscription{log_name(scope, group), std::move(on_event)});
  return next_subscription_++;
}

io::Task<void> LogStore::close() {
  forget_targets();
  co_await settle();
  co_await flush();
  closing_ = true;
  co_await scope_.close();
}

}  // namespace mayfly::telemetry
