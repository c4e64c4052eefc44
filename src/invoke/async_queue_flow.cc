// Of the AsyncQueue: events whose flow is controlled.
#include "base/log.h"
#include "invoke/async_queue.h"
#include "invoke/log_text.h"

namespace mayfly::invoke {

namespace {

constexpr std::size_t absorbed_at_once = 256;

bool came_before(const AsyncRecord& record) {
  return record.function_failures > 0 || record.platform_failures > 0;
}

}  // namespace

void AsyncQueue::control_flow(const std::string& name, std::optional<FunctionFlow> flow) {
  auto set = flows_.find(name);
  bool same = flow ? set != flows_.end() && set->second == *flow : set == flows_.end();
  if (same) return;
  if (flow) {
    flows_.insert_or_assign(name, *flow);
  } else {
    flows_.erase(set);
  }
  auto found = lanes_.find(name);
  if (found == lanes_.end()) return;
  Lane& lane = *found->second;
  if (lane.flow) {
    for (auto& key : lane.flow->take_all()) lane.due.push_back(std::move(key));
    for (auto& key : std::exchange(lane.plain, {})) lane.due.push_back(std::move(key));
    std::ranges::sort(lane.due);
  }
  if (lane.timer) deps_.loop.cancel_timer(*std::exchange(lane.timer, std::nullopt));
  lane.flow = flow ? std::make_unique<AsyncFlow>(*flow, ++flow_count_) : nullptr;
  take_turn(lane);
  pump();
}

// Events that an earlier process let through wait for their retries: as long as they do, others of
// their keys are skipped where there is to be one alone.
void AsyncQueue::expect_returns() {
  bool any =
      std::ranges::any_of(flows_, [](const auto& flow) { return flow.second.settings.singleton; });
  if (!any) return;
  for (const auto& key : waiting_) {
    auto flow = flows_.find(std::string(async_lane(key)));
    if (flow == flows_.end() || !flow->second.settings.singleton) continue;
    auto row = deps_.store.get(key);
    auto record = row && *row ? decode_async((*row)->value) : fail(ErrorKind::corrupt, "");
    if (record && !record->event.outbound && came_before(*record)) {
      lane_of(flow->first).flow->expect(*record);
    }
  }
}

// What is due is held, as far as there is room, and what has grown too old ends.
void AsyncQueue::absorb(Lane& lane) {
  for (auto& key : lane.flow->take_expired(now_ms())) lane.plain.push_back(std::move(key));
  std::size_t left = absorbed_at_once;
  while (left > 0 && !lane.due.empty() && lane.flow->room()) {
    std::string key = std::move(lane.due.front());
    lane.due.pop_front();
    absorb_one(lane, std::move(key));
    --left;
  }
  expire_front(lane);
  // Each is read from the store: others have their turn in between.
  if (left == 0 && !lane.due.empty() && !std::exchange(pump_comes_, true)) {
    tasks_.spawn(pump_soon());
  }
}

// What finds no room grows too old as well.
void AsyncQueue::expire_front(Lane& lane) {
  while (!lane.due.empty() && !lane.flow->room()) {
    const std::string& key = lane.due.front();
    if (lane.front != key) {
      auto row = deps_.store.get(key);
      auto record = row && *row ? decode_async((*row)->value) : fail(ErrorKind::corrupt, "");
      bool plain = !record || record->event.outbound;
      lane.front = key;
      lane.front_expires_ms = plain ? 0 : lane.flow->expires_ms(*record);
    }
    if (lane.front_expires_ms > now_ms()) return;
    lane.plain.push_back(std::move(lane.due.front()));
    lane.due.pop_front();
  }
}

io::Task<void> AsyncQueue::pump_soon() {
  co_await deps_.loop.turn_end();
  pump_comes_ = false;
  pump();
}

void AsyncQueue::absorb_one(Lane& lane, std::string key) {
  auto row = deps_.store.get(key);
  auto record = row && *row ? decode_async((*row)->value) : fail(ErrorKind::corrupt, "");
  // run_one() says what is wrong with it.
  if (!record || record->event.outbound) return lane.plain.push_back(std::move(key));
  bool again = came_before(*record) || again_.erase(key) > 0;
  auto offered = lane.flow->offer(key, *record, again, now_ms());
  if (offered.gone.empty()) return;
  due_ -= offered.gone.size();
  const auto& settings = lane.flow->settings();
  Skipped skipped{.gone = std::move(offered.gone),
                  .event = {.scope = record->event.scope,
                            .name = record->event.name,
                            .qualifier = record->event.qualifier,
                            .event = {}},
                  .group = settings.log_group,
                  .why = "mayfly:singleton: another event of its key waits or runs"};
  if (offered.held) {
    skipped.why =
        fmt::format("mayfly:debounce: RequestId: {} came after it", record->event.event.id.str());
    // How long it may be put off at the most counts from the first one on, after a restart too.
    if (settings.settings.debounce_max_ms > 0) {
      record->debounced_ms = offered.first_ms;
      skipped.survivor = store::Row{key, encode(*record)};
    }
  }
  tasks_.spawn(strike_out(std::move(skipped)));
}

io::Task<void> AsyncQueue::strike_out(Skipped skipped) {
  store::Batch batch;
  for (const auto& one : skipped.gone) batch.deletes.push_back(one.key);
  if (skipped.survivor) {
    batch.puts.push_back({std::move(skipped.survivor->key), std::move(skipped.survivor->value)});
  }
  while (true) {
    auto done = co_await deps_.store.commit(batch);
    if (done) break;
    log::error("invoke", "skipped events of {} stay in the queue: {}", skipped.event.name.str(),
               done.error().message);
    batch.puts.clear();  // by the next try its turn may have come
    auto wake =
        co_await io::sleep_for(deps_.loop, limits::async_backoff_first, tasks_.stop_token());
    if (wake == io::Wake::cancelled) co_return;
  }
  auto now = deps_.loop.clock().platform();
  std::string stream =
      log_stream_name(now, skipped.group, skipped.event.name.str(), "$LATEST", "flow-control");
  InstanceId nobody;
  for (const auto& one : skipped.gone) {
    report(skipped.event, AsyncStep::skipped);
    auto text = fmt::format("SKIPPED RequestId: {}\tReason: {}", one.request_id, skipped.why);
    deps_.observer.log_line({.scope = skipped.event.scope,
                             .instance = nobody,
                             .function = skipped.event.name.str(),
                             .version = "$LATEST",
                             .group = skipped.group,
                             .stream = stream,
                             .request_id = one.request_id,
                             .time = now,
                             .text = text,
                             .platform = true});
  }
}

void AsyncQueue::arm_lane(Lane& lane) {
  if (lane.timer) deps_.loop.cancel_timer(*std::exchange(lane.timer, std::nullopt));
  std::int64_t at = lane.flow->wakes_ms();
  if (!lane.due.empty() && lane.front == lane.due.front()) at = std::min(at, lane.front_expires_ms);
  if (at == INT64_MAX) return;
  lane.timer = deps_.loop.add_platform_timer(from_epoch_millis(at), [this, &lane] {
    lane.timer.reset();
    take_turn(lane);
    pump();
  });
}

}  // namespace mayfly::invoke
