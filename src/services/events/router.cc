#include "services/events/router.h"

#include "base/limits.h"
#include "base/log.h"

namespace mayfly::services::bus {

namespace {

// Archives with a retention are looked through so often.
constexpr auto trim_pause = std::chrono::hours(1);
constexpr std::int64_t day_ms = 86'400'000;

bool wanted(const Publication& event, const Rule& rule) {
  return event.only_rules.empty() ||
         std::ranges::find(event.only_rules, rule.ref.arn()) != event.only_rules.end();
}

}  // namespace

Router::Router(Deps deps) : deps_(deps), tasks_(deps_.loop) {}

Router::~Router() {
  if (timer_) deps_.loop.cancel_timer(*timer_);
}

void Router::start() {
  started_ = true;
  arm();
}

void Router::stop() {
  started_ = false;
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
}

io::Task<void> Router::close() {
  stop();
  co_await tasks_.close();
}

void Router::keep(const Archive& archive, const Publication& event, store::Batch& batch) {
  batch.appends.push_back({archive.log(), "", event.origin.ingested_ms, event.event.text});
}

void Router::count(const Routed& routed) const {
  if (routed.published) {
    deps_.counts.add(routed.bus, "", Step::published);
    if (!routed.rules.empty()) deps_.counts.add(routed.bus, "", Step::matched);
  }
  for (const auto& rule : routed.rules) deps_.counts.add(routed.bus, rule, Step::triggered);
}

io::Task<Result<>> Router::publish(std::vector<Publication> events, store::Batch with) {
  store::Batch batch = std::move(with);
  std::vector<Deliveries::Prepared> prepared;
  std::vector<Routed> routed;
  for (auto& event : events) {
    auto matches = deps_.config.match(event.origin.bus, event.event.json);
    std::erase_if(matches.rules, [&](const auto& rule) { return !wanted(event, *rule); });
    if (!event.replay) {
      for (const auto& archive : matches.archives) keep(*archive, event, batch);
    }
    routed.push_back({event.origin.bus, !event.replay, {}});
    for (const auto& rule : matches.rules) routed.back().rules.push_back(rule->ref.name);
    if (matches.rules.empty()) continue;
    prepared.push_back(deps_.deliveries.prepare(std::move(event.origin), std::move(event.event),
                                                matches.rules, batch));
  }
  if (!batch.puts.empty() || !batch.deletes.empty() || !batch.appends.empty()) {
    auto done = co_await deps_.store.commit(std::move(batch));
    if (!done) co_return std::unexpected(std::move(done.error()));
  }
  for (const auto& one : routed) count(one);
  for (auto& one : prepared) deps_.deliveries.begin(std::move(one));
  co_return Result<>{};
}

io::Task<Result<>> Router::trigger(std::shared_ptr<const Rule> rule, Publication event) {
  store::Batch batch;
  Routed routed{rule->ref.bus, false, {rule->ref.name}};
  auto prepared = deps_.deliveries.prepare(std::move(event.origin), std::move(event.event),
                                           {std::move(rule)}, batch);
  if (!batch.puts.empty()) {
    auto done = co_await deps_.store.commit(std::move(batch));
    if (!done) co_return std::unexpected(std::move(done.error()));
  }
  count(routed);
  deps_.deliveries.begin(std::move(prepared));
  co_return Result<>{};
}

void Router::arm() {
  if (!started_ || timer_) return;
  timer_ = deps_.loop.add_platform_timer(deps_.loop.clock().platform() + trim_pause, [this] {
    timer_.reset();
    tasks_.spawn(trim_archives());
    arm();
  });
}

io::Task<void> Router::trim_archives() {
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  auto archives = deps_.config.archives.all();
  for (const auto& [key, archive] : archives) {
    auto days = archive->about.retention_days().value_or(0);
    if (days == 0) continue;
    auto done = co_await deps_.store.trim(archive->log(), 0, now - days * day_ms);
    if (!done) log::warn("events", "archive {}: {}", archive->name(), done.error().message);
  }
}

}  // namespace mayfly::services::bus
