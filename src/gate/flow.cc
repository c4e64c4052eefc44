#include "gate/flow.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/limits.h"
#include "wire/hash.h"
#include "wire/json.h"

namespace mayfly::gate {

namespace {

std::optional<std::size_t> place_of(std::string_view text) {
  std::size_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  bool good = error == std::errc{} && end == text.data() + text.size();
  return good ? std::optional(out) : std::nullopt;
}

const wire::Json* member_of(const wire::Json& of, std::string_view name) {
  if (of.is_object()) return of.find(name);
  const auto* list = of.as<wire::JsonArray>();
  auto place = list == nullptr ? std::nullopt : place_of(name);
  return place && *place < list->size() ? &(*list)[*place] : nullptr;
}

// The value that the members of a path lead to; nullopt: there is none.
std::optional<wire::Json> value_at(const wire::Json& record, std::string_view path) {
  wire::Json read;  // of texts that hold JSON, the one that is at hand
  const wire::Json* here = &record;
  while (!path.empty()) {
    auto dot = path.find('.');
    if (const auto* text = here->as<std::string>()) {
      auto inner = wire::parse_json(*text);
      if (!inner) return std::nullopt;
      read = *std::move(inner);
      here = &read;
    }
    here = member_of(*here, path.substr(0, dot));
    if (here == nullptr) return std::nullopt;
    path = dot == path.npos ? std::string_view() : path.substr(dot + 1);
  }
  return *here;
}

std::string text_at(const wire::Json& record, std::string_view path) {
  auto value = path.empty() ? std::nullopt : value_at(record, path);
  if (!value || value->is_null()) return {};
  if (const auto* text = value->as<std::string>()) return *text;
  return value->dump();
}

double number_of(const std::string& text) {
  double out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && std::isfinite(out) ? out : 0;
}

}  // namespace

Mark mark_of(const FlowSettings& settings, std::string_view record) {
  Mark out;
  if (settings.key_path.empty() && settings.priority_path.empty()) return out;
  auto json = wire::parse_json(record);
  if (!json) return out;
  out.key = text_at(*json, settings.key_path);
  if (out.key.size() > limits::flow_key_bytes) out.key = wire::sha256_hex(out.key);
  out.priority = number_of(text_at(*json, settings.priority_path));
  return out;
}

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

// What waited of the lane goes no more. When the first of all that were superseded came.
std::int64_t Flow::supersede(Lane& lane, const Entry& by, std::vector<std::string>& dropped) {
  std::size_t before = dropped.size();
  std::erase_if(lane.items, [&](auto& one) {
    if (one.second.again) return false;
    let_go(one.second);
    dropped.push_back(std::move(one.second.handle));
    return true;
  });
  bool first = dropped.size() == before;
  if (first) lane.first_ms = by.since_ms;
  if (by.first_ms > 0) lane.first_ms = std::min(lane.first_ms, by.first_ms);
  return first ? by.first_ms : lane.first_ms;
}

Flow::Offered Flow::offer(Entry entry, std::int64_t now_ms) {
  auto [found, fresh] = lanes_.try_emplace(entry.mark.key);
  Lane& lane = found->second;
  Offered out;
  if (entry.again) {
    lane.awaited = std::max(0, lane.awaited - 1);
  } else if (settings_.singleton && (lane.running > 0 || lane.awaited > 0 || !lane.items.empty())) {
    out.dropped.push_back(std::move(entry.handle));
    return out;
  }
  if (lane.tokens < 0) {
    lane.tokens = settings_.throttle_items;
    lane.tokens_ms = now_ms;
  }
  unplace(found->first, lane);
  if (settings_.debounce_ms > 0 && !entry.again) {
    out.first_ms = supersede(lane, entry, out.dropped);
  }
  ++held_;
  held_bytes_ += entry.held_bytes;
  // One that comes again has had its quiet.
  bool first = settings_.debounce_ms > 0 && entry.again;
  Rank rank{first ? std::numeric_limits<double>::infinity() : entry.mark.priority, ++number_};
  lane.items.emplace(rank, Held{std::move(entry.handle), entry.record_bytes, entry.held_bytes,
                                entry.since_ms, entry.again});
  place(found->first, lane, now_ms);
  return out;
}

void Flow::refill(Lane& lane, std::int64_t now_ms) const {
  if (settings_.throttle_items == 0 || lane.tokens < 0 || now_ms <= lane.tokens_ms) return;
  double gained = static_cast<double>(now_ms - lane.tokens_ms) * settings_.throttle_items /
                  static_cast<double>(settings_.throttle_ms);
  lane.tokens = std::min<double>(lane.tokens + gained, settings_.throttle_items);
  lane.tokens_ms = now_ms;
}

bool Flow::full(const Lane& lane) const {
  return settings_.throttle_items == 0 || lane.tokens < 0 ||
         lane.tokens >= settings_.throttle_items;
}

// When a batch of the lane may go; nullopt: not before one of its own has finished.
std::optional<std::int64_t> Flow::ready_at(Lane& lane, std::int64_t now_ms) const {
  if (settings_.concurrency > 0 && lane.running >= settings_.concurrency) return std::nullopt;
  if (settings_.singleton && lane.running > 0) return std::nullopt;
  std::int64_t at = now_ms;
  const Held& front = lane.items.begin()->second;
  if (settings_.debounce_ms > 0 && !front.again) {
    std::int64_t quiet = front.since_ms + settings_.debounce_ms;
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
  } else if (lane.running == 0 && lane.awaited == 0) {
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

bool Flow::ready(std::int64_t now_ms) {
  while (!later_.empty() && later_.begin()->first <= now_ms) {
    std::string key = later_.begin()->second;
    place(key, lanes_.at(key), now_ms);
  }
  return !ready_.empty();
}

std::optional<Flow::Batch> Flow::next(std::int64_t now_ms) {
  if (!ready(now_ms)) return std::nullopt;
  Batch out{.key = ready_.begin()->second, .handles = {}};
  Lane& lane = lanes_.at(out.key);
  std::size_t most = batching_.items;
  if (settings_.throttle_items > 0) {
    most = std::min(most, static_cast<std::size_t>(lane.tokens + 1e-9));
  }
  std::size_t bytes = 0;
  while (out.handles.size() < most && !lane.items.empty()) {
    auto first = lane.items.begin();
    bytes += first->second.record_bytes + 1;
    if (!out.handles.empty() && bytes > batching_.bytes) break;
    let_go(first->second);
    out.handles.push_back(std::move(first->second.handle));
    lane.items.erase(first);
  }
  if (settings_.throttle_items > 0) {
    lane.tokens = std::max(0.0, lane.tokens - static_cast<double>(out.handles.size()));
  }
  ++lane.running;
  place(out.key, lane, now_ms);
  return out;
}

void Flow::finished(const std::string& key, std::int64_t now_ms, Finish how) {
  auto found = lanes_.find(key);
  if (found == lanes_.end()) return;  // it was cleared meanwhile
  Lane& lane = found->second;
  lane.running = std::max(0, lane.running - 1);
  if (how.comes_again) ++lane.awaited;
  if (!how.ran && settings_.throttle_items > 0) {
    refill(lane, now_ms);
    lane.tokens = std::min<double>(lane.tokens + 1, settings_.throttle_items);
  }
  place(found->first, lane, now_ms);
}

void Flow::keep_if(const std::function<bool(const std::string& handle)>& keep,
                   std::int64_t now_ms) {
  std::vector<std::string> changed;
  for (auto& [key, lane] : lanes_) {
    std::size_t before = lane.items.size();
    std::erase_if(lane.items, [&](const auto& one) {
      if (keep(one.second.handle)) return false;
      let_go(one.second);
      return true;
    });
    if (lane.items.size() != before) changed.push_back(key);
  }
  for (const auto& key : changed) place(key, lanes_.at(key), now_ms);
}

void Flow::take_out(const std::string& key, std::string_view handle, std::int64_t now_ms) {
  auto found = lanes_.find(key);
  if (found == lanes_.end()) return;
  auto& items = found->second.items;
  auto one =
      std::ranges::find_if(items, [&](const auto& it) { return it.second.handle == handle; });
  if (one == items.end()) return;
  let_go(one->second);
  unplace(found->first, found->second);
  items.erase(one);
  place(found->first, found->second, now_ms);
}

void Flow::clear() {
  lanes_.clear();
  ready_.clear();
  later_.clear();
  held_ = held_bytes_ = 0;
}

}  // namespace mayfly::gate
