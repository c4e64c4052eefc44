#include "services/events/replays.h"

#include "base/limits.h"
#include "base/log.h"

namespace mayfly::services::bus {

namespace {

std::int64_t millis(std::optional<double> seconds) {
  return static_cast<std::int64_t>(seconds.value_or(0) * 1000);
}

std::shared_ptr<Replay> moved(const Replay& from) {
  auto out = std::make_shared<Replay>(from);
  out->about = copy_of(from.about);
  return out;
}

}  // namespace

void Replays::start() {
  started_ = true;
  auto all = deps_.config.replays.all();
  for (const auto& [key, replay] : all) {
    if (replay->under_way()) run(key);
  }
}

io::Task<void> Replays::close() {
  stop();
  co_await tasks_.close();
}

void Replays::run(const std::string& key) {
  if (started_) tasks_.spawn(replay(key));
}

io::Task<void> Replays::replay(std::string key) {
  auto begun = co_await deps_.config.replays.change(key, [](const Row& now) -> ApiResult<Row> {
    if (!now || now->state() != "STARTING") return now;
    auto next = moved(*now);
    next->about.set_state("RUNNING");
    return next;
  });
  if (!begun) co_return;
  while (started_) {
    auto now = deps_.config.replays.find(key);
    if (!now) co_return;
    if (now->state() == "CANCELLING") {
      co_await end(std::move(key), "CANCELLED", "");
      co_return;
    }
    auto archive_name = name_in_arn(now->about.event_source_arn().value_or(""), "archive");
    auto archive = deps_.config.archives.find(key_of(now->scope, archive_name));
    auto destination = now->about.destination();
    auto bus = parse_bus_arn(destination ? destination->arn().value_or("") : "");
    if (!archive || !bus) {
      co_await end(std::move(key), "FAILED", "The archive is deleted.");
      co_return;
    }
    auto more = co_await page(*now, *archive, *bus);
    if (!more || !*more) {
      co_await end(std::move(key), more ? "COMPLETED" : "FAILED", more ? "" : more.error().message);
      co_return;
    }
  }
}

// Some more events; false: there are none.
io::Task<Result<bool>> Replays::page(const Replay& replay, const Archive& archive,
                                     const BusRef& bus) {
  store::LogQuery query{.log = archive.log(),
                        .order = store::LogOrder::time,
                        .from_ms = millis(replay.about.event_start_time()),
                        .to_ms = millis(replay.about.event_end_time()) + 1,
                        .limit = limits::events_replay_page};
  if (replay.place_seq > 0) query.place = store::LogPlace{replay.place_ms, replay.place_seq};
  CO_TRY_ASSIGN(auto entries, deps_.store.read(query));
  if (entries.empty()) co_return false;
  auto destination = replay.about.destination();
  std::vector<std::string> rules;
  for (auto arn : destination->filter_arns()) rules.emplace_back(arn);
  std::vector<Publication> events;
  for (auto& entry : entries) {
    events.push_back({.origin = {.bus = bus, .ingested_ms = now_ms()},
                      .event = replayed(std::move(entry.payload), replay.name()),
                      .replay = true,
                      .only_rules = rules});
  }
  store::LogPlace place{entries.back().time_ms, entries.back().seq};
  auto done = co_await deps_.config.replays.change(
      replay.key(),
      [&](const Row& now) -> ApiResult<Row> {
        if (!now || now->state() != "RUNNING") return now;
        auto next = moved(*now);
        next->place_ms = place.time_ms;
        next->place_seq = place.seq;
        next->about.set_event_last_replayed_time(static_cast<double>(place.time_ms) / 1000);
        return next;
      },
      [&](store::Batch batch) {
        return deps_.router.publish(std::move(events), std::move(batch));
      });
  if (!done) co_return fail(ErrorKind::internal, std::move(done.error().message));
  co_return true;
}

io::Task<void> Replays::end(std::string key, std::string state, std::string reason) {
  auto done = co_await deps_.config.replays.change(key, [&](const Row& now) -> ApiResult<Row> {
    if (!now) return now;
    auto next = moved(*now);
    next->about.set_state(state).set_replay_end_time(static_cast<double>(now_ms()) / 1000);
    if (!reason.empty()) next->about.set_state_reason(reason);
    return next;
  });
  if (!done) log::warn("events", "the end of replay {}: {}", key, done.error().message);
}

}  // namespace mayfly::services::bus
