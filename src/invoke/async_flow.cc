#include "invoke/async_flow.h"

#include "base/limits.h"

namespace mayfly::invoke {

namespace {

// What the containers take for each, roughly.
constexpr std::size_t overhead_bytes = 400;

}  // namespace

AsyncFlow::AsyncFlow(const FunctionFlow& settings, std::uint64_t number)
    : settings_(settings), number_(number), flow_(settings.settings, {.items = 1}) {}

std::int64_t AsyncFlow::expires_ms(const AsyncRecord& record) const {
  const auto& qualifier = record.event.qualifier;
  auto set = settings_.max_age_seconds.find(qualifier.empty() ? "$LATEST" : qualifier);
  std::int64_t seconds = set != settings_.max_age_seconds.end()
                             ? set->second
                             : std::chrono::seconds(limits::async_max_age).count();
  return record.accepted_ms + seconds * 1000;
}

AsyncFlow::Offered AsyncFlow::offer(const std::string& key, const AsyncRecord& record, bool again,
                                    std::int64_t now_ms) {
  auto mark = gate::mark_of(settings_.settings, record.event.event.payload);
  Held held{mark.key, record.event.event.id.str(), expires_ms(record)};
  std::size_t bytes = 4 * key.size() + 3 * mark.key.size() + overhead_bytes;
  auto offered = flow_.offer({.handle = key,
                              .mark = std::move(mark),
                              .held_bytes = bytes,
                              .since_ms = record.accepted_ms,
                              .first_ms = record.debounced_ms,
                              .again = again},
                             now_ms);
  expiry_.emplace(held.expires_ms, key);
  held_.insert_or_assign(key, std::move(held));
  Offered out{.first_ms = offered.first_ms};
  for (auto& gone : offered.dropped) {
    if (gone == key) out.held = false;
    out.gone.push_back({gone, held_.at(gone).request_id});
    forget(gone);
  }
  return out;
}

std::optional<AsyncFlow::Turn> AsyncFlow::next(std::int64_t now_ms) {
  auto batch = flow_.next(now_ms);
  if (!batch) return std::nullopt;
  Turn out{std::move(batch->handles.front()), std::move(batch->key), number_};
  forget(out.key);
  return out;
}

void AsyncFlow::finished(const Turn& turn, std::int64_t now_ms, gate::Flow::Finish how) {
  // What ran under other settings does not count.
  if (turn.number == number_) flow_.finished(turn.flow_key, now_ms, how);
}

std::vector<std::string> AsyncFlow::take_expired(std::int64_t now_ms) {
  std::vector<std::string> out;
  while (!expiry_.empty() && expiry_.begin()->first <= now_ms) {
    std::string key = expiry_.begin()->second;
    flow_.take_out(held_.at(key).flow_key, key, now_ms);
    forget(key);
    out.push_back(std::move(key));
  }
  return out;
}

std::vector<std::string> AsyncFlow::take_all() {
  std::vector<std::string> out;
  for (const auto& [key, held] : held_) out.push_back(key);
  held_.clear();
  expiry_.clear();
  flow_.clear();
  return out;
}

std::int64_t AsyncFlow::wakes_ms() const {
  std::int64_t out = flow_.wakes_ms();
  return expiry_.empty() ? out : std::min(out, expiry_.begin()->first);
}

void AsyncFlow::forget(const std::string& key) {
  auto found = held_.find(key);
  expiry_.erase({found->second.expires_ms, key});
  held_.erase(found);
}

}  // namespace mayfly::invoke
