#include "services/sns/outbox.h"

#include "base/log.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::size_t load_page = 64;

std::string message_key(std::uint64_t seq) { return fmt::format("msg/{:020}", seq); }
std::string state_key(std::uint64_t seq) { return fmt::format("state/{:020}", seq); }

// The subscriptions of a message, before its text: "7,9\n{…}".
std::string row_of(const Outbox::Addressed& one) {
  std::string out;
  for (auto number : one.to) out += fmt::format("{}{}", out.empty() ? "" : ",", number);
  return out + "\n" + encode(one.message);
}

Result<std::uint64_t> number_of(std::string_view text) {
  TRY_ASSIGN(auto number, wire::parse_int(text));
  return static_cast<std::uint64_t>(number);
}

}  // namespace

Outbox::Outbox(Deps deps) : deps_(std::move(deps)), tasks_(deps_.loop) {}
Outbox::~Outbox() = default;

std::int64_t Outbox::now_ms() const { return epoch_millis(deps_.loop.clock().platform()); }

Result<> Outbox::load(const std::function<void(std::uint64_t seq)>& seen) {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan("msg/", after, load_page));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto seq, number_of(std::string_view(row.key).substr(4)));
      seen(seq);
      TRY(load_one(row, seq));
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

Result<> Outbox::load_one(const store::Row& row, std::uint64_t seq) {
  std::string_view text = row.value;
  auto end = text.find('\n');
  if (end == text.npos) return fail(ErrorKind::corrupt, "a message of a topic is cut short");
  TRY_ASSIGN(auto message, decode_message(text.substr(end + 1), seq));
  Pending pending;
  TRY_ASSIGN(auto state, deps_.store.get(state_key(seq)));
  if (state) {
    // "NUMBER ATTEMPTS DUE" for each that is left.
    pending.touched = true;
    for (auto line : wire::split(state->value, '\n')) {
      auto parts = wire::split(line, ' ');
      if (parts.size() != 3) continue;
      TRY_ASSIGN(auto number, number_of(parts[0]));
      TRY_ASSIGN(auto attempts, wire::parse_int(parts[1]));
      TRY_ASSIGN(auto due, wire::parse_int(parts[2]));
      pending.left[number] = {attempts, due};
    }
  } else {
    for (auto part : wire::split(text.substr(0, end), ',')) {
      TRY_ASSIGN(auto number, number_of(part));
      pending.left[number] = {};
    }
  }
  if (message.topic_arn.ends_with(".fifo")) pending.group = message.group;
  keep(seq, std::move(pending));
  return {};
}

void Outbox::keep(std::uint64_t seq, Pending pending) {
  count_ += pending.left.size();
  pending_[seq] = std::move(pending);
}

void Outbox::start() {
  started_ = true;
  std::vector<LaneKey> keys;
  for (auto& [seq, pending] : pending_) {
    for (const auto& [number, left] : pending.left) {
      LaneKey key{number, pending.group};
      auto& lane = lanes_[key];
      bool later = left.due_ms > now_ms();
      // With order, the first of a lane holds those behind it.
      if (has_order(key) || !later) lane.ready.push_back(seq);
      if (later && (!has_order(key) || lane.ready.front() == seq)) {
        lane.held = has_order(key);
        await(left.due_ms, {key, seq});
      }
      keys.push_back(std::move(key));
    }
  }
  for (const auto& key : keys) pump(key);
  arm();
}

io::Task<Result<>> Outbox::put(std::vector<Addressed> messages, store::Batch also) {
  std::size_t more = 0;
  for (const auto& one : messages) {
    more += one.to.size();
    if (!one.to.empty()) also.puts.push_back({message_key(one.message.seq), row_of(one)});
  }
  if (count_ + more > deps_.most) {
    co_return fail(ErrorKind::throttled, "too many deliveries are waiting; try again later");
  }
  bool nothing = also.puts.empty() && also.deletes.empty();
  if (!nothing) CO_TRY(co_await deps_.store.commit(std::move(also)));
  for (auto& one : messages) {
    if (one.to.empty()) continue;
    std::uint64_t seq = one.message.seq;
    Pending pending;
    for (auto number : one.to) pending.left[number] = {};
    if (one.message.topic_arn.ends_with(".fifo")) pending.group = one.message.group;
    remember(pending, std::move(one.message));
    keep(seq, std::move(pending));
    if (!started_ || closing_) continue;  // the next start finds it
    for (auto number : one.to) enqueue(seq, number);
  }
  co_return Result<>{};
}

void Outbox::remember(Pending& pending, Message message) {
  std::size_t bytes = size_of(message) + sizeof(Message);
  if (cached_bytes_ + bytes > deps_.cached_bytes) return;
  pending.message = std::make_shared<const Message>(std::move(message));
  pending.bytes = bytes;
  cached_bytes_ += bytes;
}

void Outbox::release(Pending& pending) {
  cached_bytes_ -= std::exchange(pending.bytes, 0);
  pending.message.reset();
}

std::shared_ptr<const Message> Outbox::message_of(std::uint64_t seq) {
  auto& pending = pending_.at(seq);
  if (pending.message) return pending.message;
  auto row = deps_.store.get(message_key(seq));
  if (!row || !*row) return nullptr;
  const std::string& text = (*row)->value;
  auto message = decode_message(std::string_view(text).substr(text.find('\n') + 1), seq);
  if (!message) return nullptr;
  return std::make_shared<const Message>(*std::move(message));
}

void Outbox::enqueue(std::uint64_t seq, std::uint64_t subscription) {
  LaneKey key{subscription, pending_.at(seq).group};
  lanes_[key].ready.push_back(seq);
  pump(key);
}

// With a rate, one more start is due every so many milliseconds.
bool Outbox::may_start(const LaneKey& key, Lane& lane) {
  auto rate = deps_.rate(key.first);
  if (rate <= 0) return true;
  std::int64_t now = now_ms();
  if (now < lane.next_ms) {
    if (!std::exchange(lane.waiting_for_rate, true)) await(lane.next_ms, {key, 0});
    return false;
  }
  lane.next_ms = std::max(now, lane.next_ms) + std::max<std::int64_t>(1, 1000 / rate);
  return true;
}

void Outbox::pump(const LaneKey& key) {
  auto found = lanes_.find(key);
  if (found == lanes_.end() || closing_) return;
  auto& lane = found->second;
  std::size_t most = has_order(key) ? 1 : limits::sns_deliveries_at_once;
  while (!lane.ready.empty() && !lane.held && lane.running < most && may_start(key, lane)) {
    std::uint64_t seq = lane.ready.front();
    lane.ready.pop_front();
    ++lane.running;
    tasks_.spawn(run(key, seq));
  }
  if (lane.ready.empty() && lane.running == 0 && !lane.held && !lane.waiting_for_rate &&
      lane.next_ms <= now_ms()) {
    lanes_.erase(found);
  }
}

io::Task<void> Outbox::run(LaneKey key, std::uint64_t seq) {
  // Never within its caller's stack.
  co_await deps_.loop.turn_end();
  auto message = message_of(seq);
  Verdict verdict;
  if (message) {
    verdict = co_await deps_.deliver(std::move(message), key.first,
                                     pending_.at(seq).left.at(key.first).attempts);
  } else {
    log::error("sns", "message {} cannot be read, and is not delivered", seq);
  }
  // An attempt that the end of the server cut short is none.
  if (closing_ && !verdict.done) co_return;
  settle(key, seq, verdict);
}

void Outbox::settle(const LaneKey& key, std::uint64_t seq, const Verdict& verdict) {
  auto& lane = lanes_.at(key);
  --lane.running;
  if (verdict.done) {
    finish(seq, key.first);
  } else if (verdict.waits_until_ms > 0) {
    release(pending_.at(seq));
    if (has_order(key)) {
      lane.ready.push_front(seq);
      lane.held = true;
    }
    parked_.put(std::to_string(key.first), {key, seq}, verdict.waits_until_ms);
    arm();
  } else {
    auto& pending = pending_.at(seq);
    auto& left = pending.left.at(key.first);
    if (verdict.attempt_counts) ++left.attempts;
    left.due_ms = now_ms() + verdict.again_after_ms;
    pending.touched = true;
    release(pending);
    note(seq);
    if (has_order(key)) {
      lane.ready.push_front(seq);
      lane.held = true;
    }
    await(left.due_ms, {key, seq});
  }
  pump(key);
  // One that was let through and came to nothing leaves its place to another.
  if (parked_.size() > 0) let_through(key.first);
}

void Outbox::let_through(std::uint64_t subscription) {
  if (closing_) return;
  auto dues = parked_.take(std::to_string(subscription), deps_.room(subscription));
  for (const auto& due : dues) go_on(due);
}

void Outbox::finish(std::uint64_t seq, std::uint64_t subscription) {
  auto found = pending_.find(seq);
  auto& pending = found->second;
  pending.left.erase(subscription);
  --count_;
  if (!pending.left.empty()) {
    if (pending.touched) note(seq);
    return;
  }
  release(pending);
  pending_.erase(found);
  note(seq);
}

void Outbox::await(std::int64_t due_ms, Due due) {
  due_.emplace(due_ms, std::move(due));
  arm();
}

void Outbox::arm() {
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
  std::int64_t first = due_.empty() ? INT64_MAX : due_.begin()->first;
  first = std::min(first, parked_.expires_ms());
  if (first == INT64_MAX || closing_) return;
  timer_ = deps_.loop.add_platform_timer(from_epoch_millis(first), [this] {
    timer_.reset();
    fire();
  });
}

void Outbox::fire() {
  std::int64_t now = now_ms();
  while (!due_.empty() && due_.begin()->first <= now) {
    Due due = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    go_on(due);
  }
  for (const auto& due : parked_.take_expired(now)) go_on(due);
  arm();
}

void Outbox::go_on(const Due& due) {
  auto& lane = lanes_[due.lane];
  if (due.seq == 0) {
    lane.waiting_for_rate = false;
  } else if (has_order(due.lane)) {
    lane.held = false;
  } else {
    lane.ready.push_back(due.seq);
  }
  pump(due.lane);
}

void Outbox::note(std::uint64_t seq) {
  notes_[seq] = pending_.contains(seq);
  if (!std::exchange(writing_, true)) tasks_.spawn(write_notes());
}

// All that changed while the last commit was under way goes with the next one.
io::Task<void> Outbox::write_notes() {
  co_await deps_.loop.turn_end();
  while (!notes_.empty()) {
    store::Batch batch;
    for (const auto& [seq, there] : std::exchange(notes_, {})) {
      auto found = pending_.find(seq);
      if (found == pending_.end()) {
        batch.deletes.push_back(message_key(seq));
        batch.deletes.push_back(state_key(seq));
        continue;
      }
      std::string state;
      for (const auto& [number, left] : found->second.left) {
        state += fmt::format("{} {} {}\n", number, left.attempts, left.due_ms);
      }
      batch.puts.push_back({state_key(seq), std::move(state)});
    }
    auto done = co_await deps_.store.commit(std::move(batch), store::Durability::buffered);
    // Then the next start delivers again what is done.
    if (!done) log::error("sns", "deliveries cannot be noted: {}", done.error().message);
  }
  writing_ = false;
}

io::Task<void> Outbox::close() {
  closing_ = true;
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
  co_await tasks_.close();
}

}  // namespace mayfly::services::sns
