// Receiving, deleting, visibility.
#include "base/log.h"
#include "services/sqs/queue.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

constexpr std::size_t low_water = 1000;  // ready messages below which the backlog is read

std::int64_t millis(auto time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

void put_number(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}
std::uint64_t number_at(std::string_view bytes, std::size_t at) {
  std::uint64_t out = 0;
  for (char c : bytes.substr(at, 8)) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

}  // namespace

// queue(8) seq(8) nonce(8), in base64.
std::string Queue::receipt_of(const Index::Item& item) const {
  std::string bytes;
  put_number(bytes, number_);
  put_number(bytes, item.seq);
  put_number(bytes, item.handle);
  return wire::base64_encode(bytes);
}

Result<Handle> Queue::read_receipt(std::string_view receipt) const {
  auto bytes = wire::base64_decode(receipt);
  if (!bytes || bytes->size() != 24 || number_at(*bytes, 0) != number_) {
    return fail(ErrorKind::invalid, fmt::format("The input receipt handle \"{}\" is not a valid "
                                                "receipt handle.",
                                                receipt));
  }
  return Handle{number_at(*bytes, 0), number_at(*bytes, 8), number_at(*bytes, 16)};
}

bool Queue::worn_out(const Index::Item& item) const {
  return !info_.settings.dead_letter_arn.empty() && item.receives >= info_.settings.receives_max &&
         deps_.find(info_.settings.dead_letter_arn) != nullptr;
}

io::Task<Result<std::vector<Received>>> Queue::receive(Ask ask) {
  auto self = shared_from_this();
  Deadline until = deps_.loop.now() + ask.wait;
  while (true) {
    if (deleted_) co_return fail(ErrorKind::not_found, "the queue is deleted");
    CO_TRY_ASSIGN(auto got, take(ask));
    if (got.empty() && !released_ && deps_.loop.now() < until) {
      co_await arrivals_.park(until);
      continue;
    }
    if (got.empty()) count(Step::empty_receive, 1);
    co_return got;
  }
}

Result<std::vector<Received>> Queue::take(const Ask& ask) {
  auto again = take_again(ask);
  auto out = again ? *std::move(again) : take_new(ask);
  if (out) count(Step::received, out->size());
  return out;
}

Result<std::vector<Received>> Queue::take_new(const Ask& ask) {
  std::int64_t now = now_ms();
  tick();
  std::vector<Received> out;
  std::vector<std::uint64_t> doomed;
  ++round_;
  if (backlog_ > 0 && index_.ready() < low_water) TRY(refill());
  while (out.size() < ask.most) {
    if (index_.in_flight() >= limits::sqs_in_flight) {
      if (fifo() || !out.empty()) break;
      return fail(
          ErrorKind::throttled,
          fmt::format("Too many messages are in flight: {} are the most.", limits::sqs_in_flight));
    }
    const auto* item = index_.take(now, now + ask.visibility_ms, deps_.random.next_u64(), round_);
    if (item == nullptr && backlog_ == 0) break;
    if (item == nullptr) {
      TRY(refill());
      continue;
    }
    // Received as often as it may: one that was taken over with more receives than the policy has.
    if (item->receives > info_.settings.receives_max && worn_out(*item)) {
      if (index_.leave(item->seq)) doomed.push_back(item->seq);
      continue;
    }
    auto read = this->read(*item);
    if (!read) {
      log::error("sqs", "the message {} is passed over: {}", key_of(item->seq),
                 read.error().message);
      continue;
    }
    if (ask.fits && !ask.fits(*read)) {
      index_.put_back(item->seq);
      break;
    }
    out.push_back(*std::move(read));
  }
  if (!doomed.empty()) tasks_.spawn(dead_letter(std::move(doomed)));
  remember_attempt(ask, out);
  if (ask.visibility_ms <= 0) {
    for (const auto& one : out) index_.set_visibility(one.message.seq, now, now);
  }
  arm();
  return out;
}

Result<Received> Queue::read(const Index::Item& item) {
  TRY_ASSIGN(auto row, deps_.store.get(key_of(item.seq)));
  if (!row) return fail(ErrorKind::corrupt, "it is not in the store");
  TRY_ASSIGN(auto message, decode_message(row->value, item.seq));
  return Received{std::move(message), receipt_of(item), item.receives, item.first_ms,
                  item.until_ms};
}

void Queue::remember_attempt(const Ask& ask, const std::vector<Received>& got) {
  if (!fifo() || ask.attempt.empty() || got.empty()) return;
  std::int64_t now = now_ms();
  std::erase_if(attempts_, [now](const auto& one) { return one.second.expires_ms <= now; });
  Attempt attempt{now + millis(limits::sqs_deduplication_time), {}};
  for (const auto& one : got) {
    const auto* item = index_.find(one.message.seq);
    attempt.handles.push_back({number_, item->seq, item->handle});
  }
  attempts_[ask.attempt] = std::move(attempt);
}

// A receive that is tried again within five minutes gets the same messages and handles, as long as
// none of them was deleted, changed or became visible.
std::optional<std::vector<Received>> Queue::take_again(const Ask& ask) {
  auto found = ask.attempt.empty() ? attempts_.end() : attempts_.find(ask.attempt);
  std::int64_t now = now_ms();
  if (!fifo() || found == attempts_.end() || found->second.expires_ms <= now) return std::nullopt;
  std::vector<Received> out;
  for (const auto& handle : found->second.handles) {
    const auto* item = index_.find(handle.seq);
    bool same = item != nullptr && item->state == Index::State::in_flight &&
                item->handle == handle.nonce && item->until_ms > now;
    auto read = same ? this->read(*item) : fail(ErrorKind::conflict, "changed");
    if (!read) {
      attempts_.erase(found);
      return std::nullopt;
    }
    out.push_back(*std::move(read));
  }
  for (const auto& one : out) {
    index_.set_visibility(one.message.seq, now + ask.visibility_ms, now);
  }
  arm();
  return out;
}

Result<> Queue::check_remove(const Handle& handle) const {
  if (!fifo()) return {};
  const auto* item = index_.find(handle.seq);
  if (item == nullptr || item->state == Index::State::leaving || holds(handle)) return {};
  return fail(ErrorKind::conflict, "The receipt handle has expired.");
}

bool Queue::holds(const Handle& handle) const {
  const auto* item = index_.find(handle.seq);
  return !deleted_ && item != nullptr && item->state == Index::State::in_flight &&
         item->handle == handle.nonce && item->until_ms > now_ms();
}

void Queue::prepare_removes(const std::vector<std::uint64_t>& seqs, store::Batch& batch) {
  for (auto seq : seqs) {
    index_.leave(seq);
    batch.deletes.push_back(key_of(seq));
  }
}

void Queue::end_removes(const std::vector<std::uint64_t>& seqs, bool stored) {
  if (stored) count(Step::deleted, seqs.size());
  for (auto seq : seqs) stored ? index_.erase(seq) : index_.stay(seq);
  settle();
}

io::Task<Result<>> Queue::remove(std::vector<std::uint64_t> seqs) {
  auto self = shared_from_this();
  store::Batch batch;
  std::vector<std::uint64_t> from_backlog;
  for (auto seq : seqs) {
    if (index_.find(seq) == nullptr) {
      CO_TRY_ASSIGN(auto row, deps_.store.get(key_of(seq)));
      if (!row || seq <= info_.purged_seq) continue;  // gone already
      if (leaving_.insert(seq).second && backlog_ > 0) --backlog_;
      from_backlog.push_back(seq);
    } else {
      index_.leave(seq);
    }
    batch.deletes.push_back(key_of(seq));
  }
  std::size_t deleted = batch.deletes.size();
  if (deleted == 0) co_return Result<>{};
  auto done = co_await deps_.store.commit(std::move(batch));
  for (auto seq : from_backlog) {
    leaving_.erase(seq);
    if (!done) ++backlog_;
  }
  for (auto seq : seqs) done ? index_.erase(seq) : index_.stay(seq);
  settle();
  if (!done) co_return std::unexpected(std::move(done).error());
  count(Step::deleted, deleted);
  co_return Result<>{};
}

Result<> Queue::change_visibility(const Handle& handle, std::int64_t visibility_ms) {
  std::int64_t now = now_ms();
  tick();
  const auto* item = index_.find(handle.seq);
  if (item == nullptr || item->state == Index::State::leaving) {
    return fail(ErrorKind::invalid,
                "Message does not exist or is not available for visibility timeout change.");
  }
  if (item->state != Index::State::in_flight) {
    return fail(ErrorKind::conflict, "The specified message is not in flight.");
  }
  if (item->handle != handle.nonce) {
    return fail(ErrorKind::invalid,
                "Message does not exist or is not available for visibility timeout change.");
  }
  if (now + visibility_ms > item->received_ms + millis(limits::sqs_visibility_max)) {
    return fail(ErrorKind::invalid,
                fmt::format("Total VisibilityTimeout for the message is beyond the limit [{} "
                            "seconds]",
                            millis(limits::sqs_visibility_max) / 1000));
  }
  index_.set_visibility(handle.seq, now + visibility_ms, now);
  if (visibility_ms <= 0 && worn_out(*item) && index_.leave(handle.seq)) {
    tasks_.spawn(dead_letter({handle.seq}));
  }
  settle();
  return {};
}

// ---- Moves

// Each in a commit that takes it from here and puts it there: it is in one of the two.
io::Task<void> Queue::dead_letter(std::vector<std::uint64_t> seqs) {
  auto self = shared_from_this();
  auto target = deps_.find(info_.settings.dead_letter_arn);
  store::Batch batch;
  std::vector<Index::New> there;
  std::vector<std::uint64_t> moved;
  for (auto seq : seqs) {
    const auto* item = index_.find(seq);
    if (item == nullptr) continue;
    auto read = target != nullptr ? this->read(*item) : fail(ErrorKind::not_found, "no target");
    if (!read) {
      log::error("sqs", "{} is no dead letter of {}: {}", key_of(seq), info_.ref.arn(),
                 read.error().message);
      index_.stay(seq);
      continue;
    }
    auto& message = read->message;
    message.receives = item->receives;
    message.first_receive_ms = item->first_ms;
    message.source_arn = info_.ref.arn();
    message.delayed_until_ms = 0;
    // The age counts on from the first sending; in a FIFO queue from now (developer guide,
    // "dead-letter queues").
    if (fifo()) message.sent_ms = now_ms();
    there.push_back(target->prepare(message, batch));
    batch.deletes.push_back(key_of(seq));
    moved.push_back(seq);
  }
  if (moved.empty()) co_return settle();
  auto done = co_await deps_.store.commit(std::move(batch));
  if (!done) {
    log::error("sqs", "dead letters of {} stay: {}", info_.ref.arn(), done.error().message);
    co_await io::sleep_for(deps_.loop, std::chrono::seconds(1), tasks_.stop_token());
  }
  for (const auto& one : there) done ? target->arrived(one) : target->drop(one);
  for (auto seq : moved) done ? index_.erase(seq) : index_.stay(seq);
  if (target != nullptr) target->settle();
  settle();
}

std::vector<Message> Queue::take_for_move(std::size_t most) {
  std::vector<Message> out;
  ++round_;
  std::int64_t now = now_ms();
  while (out.size() < most) {
    const auto* item = index_.take(now, now + millis(limits::sqs_visibility_max), 0, round_);
    if (item == nullptr && backlog_ > 0 && refill()) continue;
    if (item == nullptr) break;
    std::uint64_t seq = item->seq;
    auto read = this->read(*item);
    if (!read) {
      log::error("sqs", "{} is not moved: {}", key_of(seq), read.error().message);
      continue;
    }
    index_.leave(seq);
    out.push_back(std::move(read->message));
  }
  return out;
}

void Queue::moved(const std::vector<Message>& messages, bool stored) {
  for (const auto& one : messages) stored ? index_.erase(one.seq) : index_.stay(one.seq);
  settle();
}

}  // namespace mayfly::services::sqs
