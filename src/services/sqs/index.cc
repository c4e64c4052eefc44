#include "services/sqs/index.h"

#include <algorithm>

namespace mayfly::services::sqs {

namespace {

// A group is noisy with at least so many in flight, and more than its equal share.
constexpr std::size_t noisy_from = 10;

}  // namespace

Index::Lane& Index::lane_of(const std::string& group) {
  auto [at, fresh] = lanes_.try_emplace(group);
  if (fresh) at->second.group = group;
  return at->second;
}

// Puts the lane where its next message belongs; forgets one that holds nothing.
void Index::tidy(Lane& lane) {
  if (lane.place) open_.erase({*lane.place, &lane});
  lane.place.reset();
  bool gives = !lane.ready.empty();
  if (kind_ == Kind::fifo && gives) {
    gives = lane.in_flight == 0 &&
            (lane.delayed.empty() || *lane.delayed.begin() > *lane.ready.begin());
  }
  if (gives) {
    lane.place = *lane.ready.begin();
    open_.emplace(*lane.place, &lane);
  } else if (lane.ready.empty() && lane.delayed.empty() && lane.in_flight == 0) {
    if (round_lane_ == &lane) round_lane_ = nullptr;
    lanes_.erase(lane.group);
  }
}

void Index::add(const New& message, std::int64_t now_ms) {
  auto [at, fresh] = items_.try_emplace(message.seq);
  if (!fresh) return;
  Item& item = at->second;
  item.seq = message.seq;
  item.sent_ms = message.sent_ms;
  item.receives = message.receives;
  item.first_ms = message.first_ms;
  item.lane = &lane_of(message.group);
  ages_.emplace(item.sent_ms, item.seq);
  if (message.delayed_until_ms > now_ms) {
    item.state = State::delayed;
    item.until_ms = message.delayed_until_ms;
    item.lane->delayed.insert(item.seq);
    due_.emplace(item.until_ms, item.seq);
    ++delayed_;
  } else {
    make_ready(item);
  }
  tidy(*item.lane);
}

void Index::make_ready(Item& item) {
  item.state = State::ready;
  item.lane->ready.insert(item.seq);
  ++ready_;
}

// Takes an item out of what its state keeps; the caller gives it another.
void Index::out_of_state(Item& item) {
  Lane& lane = *item.lane;
  switch (item.state) {
    case State::ready:
      lane.ready.erase(item.seq);
      --ready_;
      break;
    case State::delayed:
      lane.delayed.erase(item.seq);
      due_.erase({item.until_ms, item.seq});
      --delayed_;
      break;
    case State::in_flight: due_.erase({item.until_ms, item.seq}); [[fallthrough]];
    case State::leaving:
      --lane.in_flight;
      --in_flight_;
      break;
  }
}

Index::Lane* Index::choose(std::uint64_t round) {
  if (kind_ == Kind::fifo) {
    // What this receive holds already does not lock the group against itself.
    if (round == round_ && round_lane_ != nullptr && !round_lane_->ready.empty()) {
      Lane& lane = *round_lane_;
      if (lane.delayed.empty() || *lane.delayed.begin() > *lane.ready.begin()) return &lane;
    }
    return open_.empty() ? nullptr : open_.begin()->second;
  }
  if (open_.empty()) return nullptr;
  std::size_t quiet = std::max(noisy_from - 1, in_flight_ / lanes_.size());
  for (const auto& [seq, lane] : open_) {
    if (lane->group.empty() || lane->in_flight <= quiet) return lane;
  }
  return open_.begin()->second;
}

const Index::Item* Index::take(std::int64_t now_ms, std::int64_t until_ms, std::uint64_t handle,
                               std::uint64_t round) {
  if (round != round_) round_lane_ = nullptr;
  Lane* lane = choose(round);
  if (lane == nullptr) return nullptr;
  Item& item = items_.at(*lane->ready.begin());
  out_of_state(item);
  item.state = State::in_flight;
  item.until_ms = until_ms;
  item.received_ms = now_ms;
  if (item.first_ms == 0) item.first_ms = now_ms;
  item.handle = handle;
  ++item.receives;
  ++lane->in_flight;
  ++in_flight_;
  due_.emplace(until_ms, item.seq);
  round_ = round;
  round_lane_ = lane;
  tidy(*lane);
  return &item;
}

void Index::put_back(std::uint64_t seq) {
  auto found = items_.find(seq);
  if (found == items_.end() || found->second.state != State::in_flight) return;
  Item& item = found->second;
  if (--item.receives == 0) item.first_ms = 0;
  out_of_state(item);
  make_ready(item);
  tidy(*item.lane);
}

std::vector<std::uint64_t> Index::wake(std::int64_t now_ms) {
  std::vector<std::uint64_t> out;
  while (!due_.empty() && due_.begin()->first <= now_ms) {
    Item& item = items_.at(due_.begin()->second);
    out_of_state(item);
    make_ready(item);
    tidy(*item.lane);
    out.push_back(item.seq);
  }
  return out;
}

void Index::set_visibility(std::uint64_t seq, std::int64_t until_ms, std::int64_t now_ms) {
  auto found = items_.find(seq);
  if (found == items_.end() || found->second.state != State::in_flight) return;
  Item& item = found->second;
  if (until_ms <= now_ms) {
    out_of_state(item);
    make_ready(item);
    tidy(*item.lane);
    return;
  }
  due_.erase({item.until_ms, seq});
  item.until_ms = until_ms;
  due_.emplace(until_ms, seq);
}

bool Index::leave(std::uint64_t seq) {
  auto found = items_.find(seq);
  if (found == items_.end() || found->second.state == State::leaving) return false;
  Item& item = found->second;
  out_of_state(item);
  item.state = State::leaving;
  ++item.lane->in_flight;
  ++in_flight_;
  ages_.erase({item.sent_ms, seq});
  tidy(*item.lane);
  return true;
}

void Index::stay(std::uint64_t seq) {
  auto found = items_.find(seq);
  if (found == items_.end() || found->second.state != State::leaving) return;
  Item& item = found->second;
  ages_.emplace(item.sent_ms, seq);
  out_of_state(item);
  make_ready(item);
  tidy(*item.lane);
}

void Index::erase(std::uint64_t seq) {
  auto found = items_.find(seq);
  if (found == items_.end()) return;
  Item& item = found->second;
  ages_.erase({item.sent_ms, seq});
  out_of_state(item);
  Lane& lane = *item.lane;
  items_.erase(found);
  tidy(lane);
}

std::vector<std::uint64_t> Index::sent_before(std::int64_t ms, std::size_t most) const {
  std::vector<std::uint64_t> out;
  for (const auto& [sent, seq] : ages_) {
    if (sent >= ms || out.size() == most) break;
    out.push_back(seq);
  }
  return out;
}

void Index::clear() {
  items_.clear();
  lanes_.clear();
  open_.clear();
  due_.clear();
  ages_.clear();
  ready_ = delayed_ = in_flight_ = 0;
  round_lane_ = nullptr;
}

const Index::Item* Index::find(std::uint64_t seq) const {
  auto found = items_.find(seq);
  return found == items_.end() ? nullptr : &found->second;
}

std::optional<std::int64_t> Index::next_due() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

std::optional<std::int64_t> Index::oldest_sent() const {
  return ages_.empty() ? std::nullopt : std::optional(ages_.begin()->first);
}

}  // namespace mayfly::services::sqs
