// Retention per group and the bound on all log text together: the oldest events go first.
#include "base/log.h"
#include "telemetry/log_codec.h"
#include "telemetry/log_store.h"

namespace mayfly::telemetry {
namespace {

constexpr std::int64_t day_ms = 24 * 60 * 60 * 1000;
// Trimmed down to this share of the bound, so that it is not reached again at once.
constexpr double keep_share = 0.9;
constexpr std::size_t trim_step = 5'000;

}  // namespace

std::int64_t LogStore::oldest_kept_ms(const LogGroup& group) const {
  if (!group.retention_days) return INT64_MIN;
  return now_ms() - *group.retention_days * day_ms;
}

// Wakes at its (platform) time, or when the total passed its bound.
io::Task<void> LogStore::keep() {
  auto stop = scope_.stop_token();
  while (!stop.stop_requested()) {
    auto timer = loop_.add_platform_timer(
        loop_.clock().platform() + limits::log_retention_check_time, [this] { look_.set(); });
    auto wake = co_await look_.wait(no_deadline, stop);
    loop_.cancel_timer(timer);
    if (wake == io::Wake::cancelled) co_return;
    look_.reset();
    if (auto done = co_await enforce(); !done) {
      log::warn("logs", "removing old log events: {}", done.error().message);
    }
  }
}

io::Task<Result<>> LogStore::enforce() {
  CO_TRY(co_await enforce_retention());
  co_return co_await enforce_total();
}

io::Task<Result<>> LogStore::enforce_retention() {
  std::vector<GroupKey> keys;
  for (const auto& [key, group] : groups_) {
    if (group.info.retention_days) keys.push_back(key);
  }
  for (const auto& key : keys) {
    const auto* group = group_of(key.first, key.second);
    if (group != nullptr) CO_TRY(co_await trim(key, oldest_kept_ms(group->info)));
  }
  co_return Result<>{};
}

// Group by group, always where the oldest event is, until enough is gone.
io::Task<Result<>> LogStore::enforce_total() {
  if (total_bytes_ <= settings_.total_bytes) co_return Result<>{};
  auto goal = static_cast<std::uint64_t>(keep_share * static_cast<double>(settings_.total_bytes));
  std::map<GroupKey, std::int64_t> oldest;
  for (const auto& [key, group] : groups_) {
    store::LogQuery first{
        .log = log_name(key.first, key.second), .order = store::LogOrder::time, .limit = 1};
    CO_TRY_ASSIGN(auto entries, store_.read(first));
    if (!entries.empty()) oldest.emplace(key, entries[0].time_ms);
  }
  while (total_bytes_ > goal && !oldest.empty()) {
    auto first = std::ranges::min_element(oldest, {}, [](const auto& item) { return item.second; });
    GroupKey key = first->first;
    std::int64_t limit = INT64_MAX;
    for (const auto& [other, time] : oldest) {
      if (other != key) limit = std::min(limit, time);
    }
    store::LogQuery head{.log = log_name(key.first, key.second),
                         .order = store::LogOrder::time,
                         .limit = trim_step,
                         .max_bytes = total_bytes_ - goal};
    CO_TRY_ASSIGN(auto entries, store_.read(head));
    if (entries.empty()) {
      oldest.erase(key);
      continue;
    }
    std::int64_t upto = std::max(std::min(entries.back().time_ms, limit), entries[0].time_ms);
    CO_TRY(co_await trim(key, upto + 1));
    head.limit = 1;
    CO_TRY_ASSIGN(auto left, store_.read(head));
    if (left.empty())
      oldest.erase(key);
    else
      oldest[key] = left[0].time_ms;
  }
  co_return Result<>{};
}

io::Task<Result<>> LogStore::trim(GroupKey key, std::int64_t before_ms) {
  std::string log = log_name(key.first, key.second);
  CO_TRY_ASSIGN(auto gone, co_await store_.trim(log, 0, before_ms));
  if (gone == 0) co_return Result<>{};
  if (auto* group = group_of(key.first, key.second)) count_bytes(*group);
  co_return Result<>{};
}

}  // namespace mayfly::telemetry
