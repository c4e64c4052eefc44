// The lines of instances: bounded, batched, written without a sync of their own.
#include "base/log.h"
#include "telemetry/log_codec.h"
#include "telemetry/log_store.h"

namespace mayfly::telemetry {
namespace {

constexpr auto notice_time = std::chrono::seconds(1);
constexpr std::size_t meters_kept = 4'096;
constexpr auto meter_idle_time = std::chrono::minutes(1);
constexpr std::size_t targets_kept = 4'096;
// The times of a stream's first and last line are written this often while lines come.
constexpr std::int64_t record_time_ms = 1'000;
// Readers bound what they answer by entries; so an entry stays small.
constexpr std::size_t entry_bytes_max = 32 * limits::kib;

}  // namespace

void LogStore::add_line(const LogLine& line) {
  if (closing_) return;
  if (!line.platform && !admit(line)) {
    ++dropped_lines_;
    return;
  }
  // A line beyond the size of an event goes on in the next.
  constexpr std::size_t most = limits::log_event_bytes - limits::log_event_overhead_bytes;
  std::string_view rest = line.text;  // one that is packed is far shorter
  // The platform speaks of this moment.
  std::int64_t now = line.platform ? epoch_millis(line.time) : now_ms();
  do {
    push(line.scope, line.group, line.stream, line.time, now, rest.substr(0, most), line.packed);
    rest.remove_prefix(std::min(rest.size(), most));
  } while (!rest.empty());
}

bool LogStore::admit(const LogLine& line) {
  auto rate = static_cast<double>(settings_.instance_bytes_per_second);
  auto [at, fresh] = meters_.try_emplace(line.instance);
  auto& meter = at->second;
  if (fresh) {
    meter.tokens = rate;  // a burst of one second
    meter.at = loop_.now();
  }
  MonoTime now = loop_.now();
  meter.tokens += rate * std::chrono::duration<double>(now - meter.at).count();
  meter.tokens = std::min(meter.tokens, rate);
  meter.at = now;
  auto cost = static_cast<double>(line.text.size() + limits::log_event_overhead_bytes);
  if (meter.tokens >= cost && pending_bytes_ + line.text.size() <= settings_.pending_bytes) {
    meter.tokens -= cost;
    return true;
  }
  ++meter.dropped;
  meter.scope = line.scope;
  meter.group = std::string(line.group);
  meter.stream = std::string(line.stream);
  plan_notice(line.instance, meter);
  return false;
}

// One visible line per instance and second, however many were dropped.
void LogStore::plan_notice(const InstanceId& instance, Meter& meter) {
  if (std::exchange(meter.notice_planned, true)) return;
  auto id = std::make_shared<io::Loop::TimerId>();
  *id = loop_.add_timer(loop_.now() + notice_time, [this, instance, id] {
    notice_timers_.erase(*id);
    notice(instance);
  });
  notice_timers_.insert(*id);
}

void LogStore::notice(const InstanceId& instance) {
  auto found = meters_.find(instance);
  if (found == meters_.end()) return;
  auto& meter = found->second;
  meter.notice_planned = false;
  auto text = fmt::format("[platform] {} lines were dropped: more than {} bytes of log per second",
                          meter.dropped, settings_.instance_bytes_per_second);
  meter.dropped = 0;
  push(meter.scope, meter.group, meter.stream, loop_.clock().platform(), now_ms(), text, false);
}

void LogStore::prune_meters() {
  if (meters_.size() < meters_kept) return;
  MonoTime before = loop_.now() - meter_idle_time;
  std::erase_if(meters_, [before](const auto& item) {
    return item.second.at < before && !item.second.notice_planned;
  });
}

LogStore::Target& LogStore::target_of(const Scope& scope, std::string_view group,
                                      std::string_view stream, std::int64_t now) {
  TargetView view{scope.account.str(), scope.region.str(), group, stream};
  if (last_target_ != nullptr && TargetEqual{}(view, last_target_->first)) {
    return last_target_->second;
  }
  auto known = targets_.find(view);
  if (known != targets_.end()) {
    last_target_ = &*known;
    return known->second;
  }
  if (targets_.size() >= targets_kept) forget_targets();
  auto [at, made] = groups_.try_emplace(GroupKey{scope, std::string(group)});
  auto& owner = at->second;
  if (made) owner.info = LogGroup{.scope = scope, .name = std::string(group), .created_ms = now};
  // One whose record cannot be read is written anew.
  auto known_stream = open_stream(owner, stream).value_or(nullptr);
  if (known_stream == nullptr) {
    known_stream = std::make_shared<LogStream>(LogStream{std::string(stream), now, {}, {}, {}});
    owner.live.emplace(known_stream->name, known_stream);
  }
  TargetKey key{scope.account.str(), scope.region.str(), std::string(group), std::string(stream)};
  Target target{&owner, std::move(known_stream), log_name(scope, group)};
  return targets_.emplace(std::move(key), std::move(target)).first->second;
}

void LogStore::plan_record(Target& target, std::int64_t due_ms) {
  target.record_due_ms = due_ms;
  target.group->unsaved_streams.insert(target.stream->name);
  changed_.insert(target.group);
}

// What their last lines changed is written with the next flush.
void LogStore::forget_targets() {
  for (auto& [key, target] : targets_) plan_record(target, target.record_due_ms);
  targets_.clear();
  last_target_ = nullptr;
}

void LogStore::push(const Scope& scope, std::string_view group, std::string_view stream,
                    WallTime time, std::int64_t now, std::string_view text, bool packed) {
  std::int64_t time_ms = epoch_millis(time);
  Target& target = target_of(scope, group, stream, now);
  touch(*target.stream, time_ms, now);
  ++added_;
  if (target.entry != UINT64_MAX && target.entry >= taken_) {
    auto& [entry, lines] = pending_[target.entry - taken_];
    if (entry.time_ms == time_ms && lines < entry_events_max &&
        entry.payload.size() + text.size() < entry_bytes_max && ingested_of(entry.payload) == now) {
      pending_bytes_ -= entry.payload.size();
      append_event(entry.payload, text, packed);
      pending_bytes_ += entry.payload.size();
      ++lines;
      return;
    }
  }
  if (now >= target.record_due_ms || now < target.record_due_ms - record_time_ms) {
    plan_record(target, now + record_time_ms);
  }
  target.entry = taken_ + pending_.size();
  pending_.push_back(
      {.entry = {target.log, target.stream->name, time_ms, encode_event(now, text, packed)}});
  pending_bytes_ += pending_.back().entry.payload.size();
  plan_flush();
}

void LogStore::plan_flush() {
  if (flushing_ || flush_timer_) return;
  flush_timer_ = loop_.add_timer(loop_.now() + limits::log_flush_time, [this] {
    flush_timer_.reset();
    scope_.spawn(flush());
  });
}

// Takes the oldest pending lines, at most limits::log_flush_bytes; answers how many.
std::size_t LogStore::take_pending(store::Batch& batch) {
  std::size_t bytes = 0;
  std::size_t lines = 0;
  while (!pending_.empty() && bytes < limits::log_flush_bytes) {
    auto& oldest = pending_.front();
    bytes += oldest.entry.payload.size();
    lines += oldest.lines;
    batch.appends.push_back(std::move(oldest.entry));
    pending_.pop_front();
    ++taken_;
  }
  pending_bytes_ -= bytes;
  return lines;
}

std::vector<LogStore::Saved> LogStore::save_changed(store::Batch& batch) {
  std::vector<Saved> out;
  for (auto* group : changed_) {
    auto log = log_name(group->info.scope, group->info.name);
    if (!std::exchange(group->saved, true)) {
      batch.puts.push_back({group_key(group->info), encode_group(group->info)});
      out.push_back({log, nullptr});
    }
    for (const auto& name : group->unsaved_streams) {
      auto stream = group->live.find(name);
      if (stream == group->live.end()) continue;
      batch.puts.push_back({stream_key(group->info, name), encode_stream(*stream->second)});
      out.push_back({log, stream->second});
    }
    group->unsaved_streams.clear();
  }
  changed_.clear();
  return out;
}

// They lie in the store now, or are written with the next flush.
void LogStore::saved(std::vector<Saved> streams, bool done) {
  for (auto& [log, stream] : streams) {
    auto* group = group_of_log(log);
    if (group == nullptr) continue;
    std::string name = stream == nullptr ? "" : stream->name;
    stream.reset();
    if (done) {
      rest(*group, name);
      continue;
    }
    group->saved = false;
    if (!name.empty()) group->unsaved_streams.insert(std::move(name));
    changed_.insert(group);
  }
}

io::Task<void> LogStore::flush() {
  if (flushing_ || (pending_.empty() && changed_.empty())) co_return;
  flushing_ = true;
  // What comes meanwhile waits for its own time: else a server under load would commit on and on.
  std::uint64_t upto = added_;
  do {
    store::Batch batch;
    std::size_t lines = take_pending(batch);
    auto streams = save_changed(batch);
    store::Batch copy;
    // Texts are kept for those alone who want to hear them.
    bool heard = !subscriptions_.empty();
    copy.appends.reserve(batch.appends.size());
    for (const auto& entry : batch.appends) {
      copy.appends.push_back({entry.log, entry.stream, entry.time_ms, {}});
      if (heard) copy.appends.back().payload = entry.payload;
    }
    auto done = co_await store_.commit(std::move(batch), store::Durability::buffered);
    settled_ += lines;
    if (done) {
      committed(copy);
      if (heard) tell_subscribers(copy);
    } else {
      // A full disk costs log lines, never a function's run.
      dropped_lines_ += lines;
      if (lines > 0) log::error("logs", "{} log lines were lost: {}", lines, done.error().message);
    }
    saved(std::move(streams), done.has_value());
    settled_lot_.wake_all();
    if (!done) break;  // the next lines try again, at their flush
  } while (!pending_.empty() && settled_ < upto);
  flushing_ = false;
  if (!pending_.empty() || !changed_.empty()) plan_flush();
  prune_meters();
}

void LogStore::committed(const store::Batch& batch) {
  std::set<std::string_view> logs;
  for (const auto& entry : batch.appends) logs.insert(entry.log);
  for (auto log : logs) {
    if (auto* group = group_of_log(log)) count_bytes(*group);
  }
  if (total_bytes_ > settings_.total_bytes) look_.set();
}

void LogStore::tell_subscribers(const store::Batch& batch) {
  for (const auto& entry : batch.appends) {
    for (const auto& event : decode_events({0, entry.stream, entry.time_ms, entry.payload})) {
      auto subscriptions = subscriptions_;  // a callback may unsubscribe
      for (const auto& [id, subscription] : subscriptions) {
        if (subscription.log == entry.log && subscriptions_.contains(id)) {
          subscription.on_event(event);
        }
      }
    }
  }
}

void LogStore::forget_pending(std::string_view log, const std::string* stream) {
  forget_targets();  // they count entries of pending_, and point to what is being deleted
  std::erase_if(pending_, [&](const Pending& pending) {
    const auto& entry = pending.entry;
    if (entry.log != log || (stream != nullptr && entry.stream != *stream)) return false;
    pending_bytes_ -= entry.payload.size();
    settled_ += pending.lines;
    return true;
  });
}

io::Task<void> LogStore::settle() {
  std::uint64_t wanted = added_;
  while (settled_ < wanted) {
    if (!flushing_) {
      if (flush_timer_) loop_.cancel_timer(*flush_timer_);
      flush_timer_.reset();
      scope_.spawn(flush());
      continue;
    }
    co_await settled_lot_.park();
  }
}

}  // namespace mayfly::telemetry
