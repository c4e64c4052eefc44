#include "pump/pump.h"

#include "base/log.h"
#include "wire/json.h"

namespace mayfly::pump {

namespace {

constexpr std::string_view payload_head = "{\"Records\":[";
constexpr std::string_view payload_tail = "]}";
constexpr std::int64_t backoff_first_ms = 1000;
constexpr std::size_t room_bytes =
    limits::invoke_sync_payload_bytes - payload_head.size() - payload_tail.size();
constexpr std::size_t absorbed_at_once = 1000;

}  // namespace

std::optional<std::vector<std::size_t>> failed_items(std::string_view answer,
                                                     const std::vector<events::Item>& items) {
  std::vector<std::size_t> out;
  auto json = wire::parse_json(answer);
  if (!json) return answer.empty() ? std::optional(out) : std::nullopt;
  if (json->is_null()) return out;
  if (!json->is_object()) return std::nullopt;
  const auto* list = json->find("batchItemFailures");
  if (list == nullptr || list->is_null()) return out;
  if (!list->is_array()) return std::nullopt;
  for (const auto& one : *list->as<wire::JsonArray>()) {
    auto id = one.string_or("itemIdentifier");
    auto found = std::ranges::find(items, id, &events::Item::id);
    if (id.empty() || found == items.end()) return std::nullopt;
    out.push_back(static_cast<std::size_t>(found - items.begin()));
  }
  return out;
}

Pump::Pump(Deps deps, Settings settings)
    : deps_(std::move(deps)), settings_(std::move(settings)), tasks_(deps_.loop) {
  if (!settings_.flow) return;
  flow_ = std::make_unique<gate::Flow>(
      *settings_.flow,
      gate::Flow::Batching{
          .items = settings_.batch_items, .bytes = room_bytes, .window_ms = settings_.window_ms});
}

Pump::~Pump() { stop(); }

void Pump::start() {
  if (std::exchange(started_, true)) return;
  watch_ = deps_.feed->watch([this] { wake(); });
  wake();
}

void Pump::stop() {
  if (!std::exchange(started_, false)) return;
  deps_.feed->unwatch(watch_);
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
  // What was gathered comes back by itself.
  gathered_.clear();
  gathered_bytes_ = 0;
  if (flow_) flow_->clear();
  held_.clear();
  extend_ms_ = 0;
  tasks_.request_stop();
}

io::Task<void> Pump::close() {
  stop();
  co_await tasks_.close();
}

// Not within the stack of whoever brought the item: it is to have its answer first.
void Pump::wake() {
  if (std::exchange(waking_, true)) return;
  tasks_.spawn(pump_soon());
}

io::Task<void> Pump::pump_soon() {
  co_await deps_.loop.turn_end();
  waking_ = false;
  if (flow_) {
    pump_flow();
  } else {
    pump();
  }
}

std::size_t Pump::allowed() {
  std::size_t out = settings_.batches_first;
  if (full_since_ms_ > 0) {
    auto grown = (now_ms() - full_since_ms_) * settings_.batches_per_minute / 60'000;
    out += static_cast<std::size_t>(std::max<std::int64_t>(grown, 0));
  }
  return std::min(out, settings_.batches_max);
}

void Pump::pump() {
  while (may_run()) {
    bool more = fill();
    if (gathered_.empty()) {
      if (running_ == 0) full_since_ms_ = 0;
      return;
    }
    bool full = gathered_.size() >= settings_.batch_items || more;
    if (!full && settings_.window_ms > 0 && now_ms() < window_ends_ms_) {
      return arm(window_ends_ms_);
    }
    ++running_;
    gathered_bytes_ = 0;
    tasks_.spawn(run(std::exchange(gathered_, {}), {}));
  }
  grow();
}

bool Pump::may_run() {
  return started_ && running_ < allowed() && (!deps_.may_push || deps_.may_push());
}

// As many as may run do: more of them from the next step on.
void Pump::grow() {
  bool stands = deps_.may_push && !deps_.may_push();
  if (!started_ || stands || running_ >= settings_.batches_max) return;
  if (full_since_ms_ == 0) full_since_ms_ = now_ms();
  arm(now_ms() + step_ms());
}

// ---- With flow control

void Pump::pump_flow() {
  absorb();
  if (!started_) return;
  if (extend_ms_ != 0 && now_ms() >= extend_ms_) extend_held();
  while (may_run()) {
    auto batch = flow_->next(now_ms());
    if (!batch) {
      if (running_ == 0) full_since_ms_ = 0;
      break;
    }
    ++running_;
    tasks_.spawn(run(release(batch->handles), std::move(batch->key)));
  }
  // It has been asked to take all there is; what it holds may have left room.
  if (flow_->held() == 0) extend_ms_ = 0;
  std::int64_t wakes = flow_->wakes_ms();
  if (extend_ms_ != 0) wakes = std::min(wakes, extend_ms_);
  if (started_ && running_ >= allowed() && running_ < settings_.batches_max) {
    if (full_since_ms_ == 0) full_since_ms_ = now_ms();
    wakes = std::min(wakes, now_ms() + step_ms());
  }
  if (started_ && wakes != INT64_MAX) arm(wakes);
}

// Takes what there is, as long as it can be held.
void Pump::absorb() {
  std::vector<std::string> filtered;
  std::vector<std::string> dropped;
  bool more = started_;
  while (more && flow_->room_items() > 0 && flow_->room_bytes() > 0) {
    auto taken = deps_.feed->take(std::min(flow_->room_items(), absorbed_at_once), room_bytes);
    if (!taken) {
      log::warn("pump", "nothing can be taken: {}", taken.error().message);
      break;
    }
    more = taken->more;
    count(Step::polled, taken->items.size());
    for (auto& item : taken->items) {
      if (!passes(item)) {
        filtered.push_back(std::move(item.handle));
        continue;
      }
      hold(std::move(item), dropped);
    }
  }
  count(Step::filtered_out, filtered.size());
  count(Step::dropped, dropped.size());
  filtered.insert(filtered.end(), std::make_move_iterator(dropped.begin()),
                  std::make_move_iterator(dropped.end()));
  if (!filtered.empty()) tasks_.spawn(forget(std::move(filtered)));
}

void Pump::hold(events::Item item, std::vector<std::string>& dropped) {
  std::int64_t soon = now_ms() + (item.until_ms - now_ms()) / 2;
  extend_ms_ = extend_ms_ == 0 ? soon : std::min(extend_ms_, soon);
  std::string handle = item.handle;
  gate::Flow::Entry entry{.handle = handle,
                          .mark = gate::mark_of(*settings_.flow, item.record),
                          .record_bytes = item.record.size(),
                          .held_bytes = item.record.size() + item.body.size() + 1,
                          .since_ms = now_ms()};
  held_.insert_or_assign(std::move(handle), std::move(item));
  for (auto& gone : flow_->offer(std::move(entry), now_ms()).dropped) {
    held_.erase(gone);
    dropped.push_back(std::move(gone));
  }
}

Pump::Items Pump::release(const std::vector<std::string>& handles) {
  Items out;
  out.reserve(handles.size());
  for (const auto& handle : handles) out.push_back(std::move(held_.extract(handle).mapped()));
  return out;
}

// What is held stays ours. What became another's meanwhile is forgotten here.
void Pump::extend_held() {
  extend_ms_ = 0;
  flow_->keep_if(
      [this](const std::string& handle) {
        auto until = deps_.feed->extend(handle);
        if (!until) {
          held_.erase(handle);
          return false;
        }
        std::int64_t soon = now_ms() + (*until - now_ms()) / 2;
        extend_ms_ = extend_ms_ == 0 ? soon : std::min(extend_ms_, soon);
        held_.at(handle).until_ms = *until;
        return true;
      },
      now_ms());
}

// ---- Batches

// Takes what there is room for in the batch. true: there may be more than that.
bool Pump::fill() {
  std::size_t wanted = settings_.batch_items - gathered_.size();
  if (wanted == 0) return true;
  auto taken = deps_.feed->take(wanted, room_bytes - gathered_bytes_);
  if (!taken) {
    log::warn("pump", "nothing can be taken: {}", taken.error().message);
    return false;
  }
  std::vector<std::string> dropped;
  count(Step::polled, taken->items.size());
  for (auto& item : taken->items) {
    if (!passes(item)) {
      dropped.push_back(std::move(item.handle));
      continue;
    }
    if (gathered_.empty()) window_ends_ms_ = now_ms() + settings_.window_ms;
    gathered_bytes_ += item.record.size() + 1;
    gathered_.push_back(std::move(item));
  }
  count(Step::filtered_out, dropped.size());
  bool filtered = !dropped.empty();
  if (filtered) tasks_.spawn(forget(std::move(dropped)));
  // What was filtered left room.
  if (filtered && taken->more && gathered_.size() < settings_.batch_items) return fill();
  return taken->more;
}

void Pump::arm(std::int64_t at_ms) {
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_ = deps_.loop.add_platform_timer(from_epoch_millis(at_ms), [this] {
    timer_.reset();
    wake();
  });
}

// A filter of the body reads it as JSON where it speaks of its members, else as a text.
bool Pump::passes(const events::Item& item) const {
  if (settings_.filters.empty()) return true;
  auto record = wire::parse_json(item.record);
  if (!record) return false;
  auto body = wire::parse_json(item.body);
  bool structured = body && body->is_object();
  return std::ranges::any_of(settings_.filters, [&](const wire::EventPattern& filter) {
    const auto* of_body = filter.of("body");
    if (of_body == nullptr) return filter.matches(*record);
    if (of_body->is_object() != structured) return false;
    (*record)["body"] = structured ? *body : wire::Json(item.body);
    return filter.matches(*record);
  });
}

io::Task<void> Pump::run(Items items, std::string flow_key) {
  std::shared_ptr<events::Effects> effects;
  auto outcome = co_await push(items, effects);
  bool good = outcome && outcome->kind == events::Outcome::Kind::ok;
  count(good ? Step::invoked : Step::failed_invoke, items.size());
  if (good) {
    std::vector<std::size_t> failed;
    bool none = false;
    if (settings_.report_failures) {
      auto named = failed_items(outcome->payload, items);
      none = !named;
      if (named) failed = *std::move(named);
    }
    std::vector<std::string> handles;
    for (std::size_t i = 0; i < items.size() && !none; ++i) {
      if (std::ranges::find(failed, i) == failed.end()) handles.push_back(items[i].handle);
    }
    std::size_t done = handles.size();
    if (done > 0 && co_await acknowledge(std::move(handles), std::move(effects)))
      count(Step::deleted, done);
  } else if (!outcome) {
    log::debug("pump", "a batch of {} comes back: {}", items.size(), outcome.error().message);
  }
  --running_;
  if (flow_) flow_->finished(flow_key, now_ms());
  wake();
}

io::Task<Result<events::Outcome>> Pump::push(const Items& items,
                                             std::shared_ptr<events::Effects>& effects) {
  std::int64_t until = items.front().until_ms;
  for (const auto& item : items) until = std::min(until, item.until_ms);
  for (std::int64_t wait = backoff_first_ms;; wait *= 2) {
    std::string payload(payload_head);
    for (const auto& item : items) {
      if (payload.size() > payload_head.size()) payload += ',';
      payload += item.record;
    }
    payload += payload_tail;
    effects = deps_.hold_effects && deps_.hold_effects() ? deps_.feed->begin() : nullptr;
    auto outcome = co_await deps_.push({std::move(payload), items.front().trace_header, effects});
    bool again = !outcome && (outcome.error().kind == ErrorKind::throttled ||
                              outcome.error().kind == ErrorKind::unavailable);
    if (!again || now_ms() + wait >= until) co_return outcome;
    if (!co_await pause(wait)) co_return outcome;
  }
}

io::Task<bool> Pump::acknowledge(std::vector<std::string> handles,
                                 std::shared_ptr<events::Effects> effects) {
  auto done = effects ? co_await effects->commit(std::move(handles), {}, {})
                      : co_await deps_.feed->acknowledge(std::move(handles));
  if (!done) log::error("pump", "a batch is not acknowledged: {}", done.error().message);
  co_return done.has_value();
}

io::Task<void> Pump::forget(std::vector<std::string> handles) {
  co_await acknowledge(std::move(handles));
}

// false: it is over.
io::Task<bool> Pump::pause(std::int64_t ms) {
  io::Event over(deps_.loop);
  auto timer =
      deps_.loop.add_platform_timer(from_epoch_millis(now_ms() + ms), [&over] { over.set(); });
  auto wake = co_await over.wait(no_deadline, tasks_.stop_token());
  deps_.loop.cancel_timer(timer);
  co_return wake == io::Wake::notified;
}

}  // namespace mayfly::pump
