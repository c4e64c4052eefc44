#include "pump/flow.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/limits.h"
#include "wire/json.h"

namespace mayfly::pump {

namespace {

// The value that the members of a path lead to; nullopt: there is none.
std::optional<wire::Json> value_at(const events::Item& item, std::string_view path) {
  auto record = wire::parse_json(item.record);
  if (!record) return std::nullopt;
  wire::Json here = *std::move(record);
  while (!path.empty()) {
    auto dot = path.find('.');
    // A message's body is text that may hold JSON.
    if (const auto* text = here.as<std::string>()) {
      auto inner = wire::parse_json(*text);
      if (!inner) return std::nullopt;
      here = *std::move(inner);
    }
    const auto* member = here.is_object() ? here.find(path.substr(0, dot)) : nullptr;
    if (member == nullptr) return std::nullopt;
    here = wire::Json(*member);
    path = dot == path.npos ? std::string_view() : path.substr(dot + 1);
  }
  return here;
}

std::string text_at(const events::Item& item, std::string_view path) {
  if (path.empty()) return {};
  auto value = value_at(item, path);
  if (!value || value->is_null()) return {};
  if (const auto* text = value->as<std::string>()) return *text;
  return value->dump();
}

double number_at(const events::Item& item, std::string_view path) {
  if (path.empty()) return 0;
  std::string text = text_at(item, path);
  double out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && std::isfinite(out) ? out : 0;
}

std::size_t bytes_of(const events::Item& item) { return item.record.size() + item.body.size() + 1; }

}  // namespace

Flow::Flow(FlowSettings settings, Batching batching)
    : settings_(std::move(settings)), batching_(batching) {
  // What goes after a quiet goes alone.
  if (settings_.debounce_ms > 0) batching_.window_ms = 0;
}

std::size_t Flow::room_items() const {
  std::size_t lanes = std::max(held_, lanes_.size());
  return lanes >= limits::flow_held_items ? 0 : limits::flow_held_items - lanes;
}

std::size_t Flow::room_bytes() const {
  return held_bytes_ >= limits::flow_held_bytes ? 0 : limits::flow_held_bytes - held_bytes_;
}

std::vector<std::string> Flow::offer(events::Item item, std::int64_t now_ms) {
  std::string key = text_at(item, settings_.key_path);
  auto [found, fresh] = lanes_.try_emplace(key);
  Lane& lane = found->second;
  if (fresh) {
    lane.tokens = settings_.throttle_items;
    lane.tokens_ms = now_ms;
  }
  std::vector<std::string> dropped;
  if (settings_.singleton && (lane.running > 0 || !lane.items.empty())) {
    dropped.push_back(std::move(item.handle));
    return dropped;
  }
  if (settings_.debounce_ms > 0) {
    if (lane.items.empty()) lane.first_ms = now_ms;
    for (auto& [rank, held] : lane.items) {
      --held_;
      held_bytes_ -= bytes_of(held.item);
      dropped.push_back(std::move(held.item.handle));
    }
    unplace(key, lane);
    lane.items.clear();
  }
  ++held_;
  held_bytes_ += bytes_of(item);
  Rank rank{number_at(item, settings_.priority_path), ++number_};
  lane.items.emplace(rank, Held{std::move(item), now_ms});
  place(found->first, lane, now_ms);
  return dropped;
}

void Flow::refill(Lane& lane, std::int64_t now_ms) const {
  if (settings_.throttle_items == 0 || now_ms <= lane.tokens_ms) return;
  double gained = static_cast<double>(now_ms - lane.tokens_ms) * settings_.throttle_items /
                  static_cast<double>(settings_.throttle_ms);
  lane.tokens = std::min<double>(lane.tokens + gained, settings_.throttle_items);
  lane.tokens_ms = now_ms;
}

bool Flow::full(const Lane& lane) const {
  return settings_.throttle_items == 0 || lane.tokens >= settings_.throttle_items;
}

// When a batch of the lane may go; nullopt: not before one of its own has finished.
std::optional<std::int64_t> Flow::ready_at(Lane& lane, std::int64_t now_ms) const {
  if (settings_.concurrency > 0 && lane.running >= settings_.concurrency) return std::nullopt;
  if (settings_.singleton && lane.running > 0) return std::nullopt;
  std::int64_t at = now_ms;
  if (settings_.debounce_ms > 0) {
    std::int64_t quiet = lane.items.begin()->second.since_ms + settings_.debounce_ms;
    if (settings_.debounce_max_ms > 0) {
      quiet = std::min(quiet, lane.first_ms + settings_.debounce_max_ms);
    }
    at = std::max(at, quiet);
  }
  if (batching_.window_ms > 0 && lane.items.size() < batching_.items) {
    std::int64_t first = INT64_MAX;
    for (const auto& [rank, held] : lane.items) first = std::min(first, held.since_ms);
    at = std::max(at, first + batching_.window_ms);
  }
  refill(lane, now_ms);
  // A hair less than a whole one: what was gained in parts adds up to it.
  if (settings_.throttle_items > 0 && lane.tokens < 1 - 1e-9) {
    double wait =
        (1 - lane.tokens) * static_cast<double>(settings_.throttle_ms) / settings_.throttle_items;
    at = std::max(at, now_ms + static_cast<std::int64_t>(std::ceil(wait)));
  }
  return at;
}

void Flow::unplace(const std::string& key, Lane& lane) {
  if (lane.ready) ready_.erase(*lane.ready);
  lane.ready.reset();
  if (lane.later_ms != 0) later_.erase({lane.later_ms, key});
  lane.later_ms = 0;
}

void Flow::place(const std::string& key, Lane& lane, std::int64_t now_ms) {
  unplace(key, lane);
  std::optional<std::int64_t> at;
  if (!lane.items.empty()) {
    at = ready_at(lane, now_ms);
  } else if (lane.running == 0) {
    refill(lane, now_ms);
    if (full(lane)) {
      lanes_.erase(std::string(key));  // `key` may be the lane's own
      return;
    }
    // Remembered until its throttle is as if it had never been.
    at = now_ms + settings_.throttle_ms;
  }
  if (!at) return;
  if (*at <= now_ms) {
    lane.ready = lane.items.begin()->first;
    ready_.emplace(*lane.ready, key);
  } else {
    lane.later_ms = *at;
    later_.emplace(*at, key);
  }
}

std::optional<Flow::Batch> Flow::next(std::int64_t now_ms) {
  while (!later_.empty() && later_.begin()->first <= now_ms) {
    std::string key = later_.begin()->second;
    place(key, lanes_.at(key), now_ms);
  }
  if (ready_.empty()) return std::nullopt;
  Batch out{.key = ready_.begin()->second, .items = {}};
  Lane& lane = lanes_.at(out.key);
  std::size_t most = batching_.items;
  if (settings_.throttle_items > 0) {
    most = std::min(most, static_cast<std::size_t>(lane.tokens + 1e-9));
  }
  std::size_t bytes = 0;
  while (out.items.size() < most && !lane.items.empty()) {
    auto first = lane.items.begin();
    bytes += first->second.item.record.size() + 1;
    if (!out.items.empty() && bytes > batching_.bytes) break;
    --held_;
    held_bytes_ -= bytes_of(first->second.item);
    out.items.push_back(std::move(first->second.item));
    lane.items.erase(first);
  }
  if (settings_.throttle_items > 0) lane.tokens -= static_cast<double>(out.items.size());
  ++lane.running;
  place(out.key, lane, now_ms);
  return out;
}

void Flow::finished(const std::string& key, std::int64_t now_ms) {
  auto lane = lanes_.find(key);
  if (lane == lanes_.end()) return;  // it was cleared meanwhile
  lane->second.running = std::max(0, lane->second.running - 1);
  place(lane->first, lane->second, now_ms);
}

void Flow::extend(const std::function<std::optional<std::int64_t>(const events::Item&)>& keep,
                  std::int64_t now_ms) {
  std::vector<std::string> changed;
  for (auto& [key, lane] : lanes_) {
    std::size_t before = lane.items.size();
    for (auto one = lane.items.begin(); one != lane.items.end();) {
      auto& item = one->second.item;
      if (auto until = keep(item)) {
        item.until_ms = *until;
        ++one;
        continue;
      }
      --held_;
      held_bytes_ -= bytes_of(item);
      one = lane.items.erase(one);
    }
    if (lane.items.size() != before) changed.push_back(key);
  }
  for (const auto& key : changed) place(key, lanes_.at(key), now_ms);
}

void Flow::clear() {
  lanes_.clear();
  ready_.clear();
  later_.clear();
  held_ = held_bytes_ = 0;
}

}  // namespace mayfly::pump
