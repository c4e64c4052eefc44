#include "services/sqs/queue.h"

#include <charconv>

#include "base/log.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::sqs {

namespace {

constexpr std::size_t load_rows = 64;
constexpr std::size_t load_bytes = 4 * limits::mib;
constexpr std::size_t expire_rows = 500;
constexpr int seq_shift = 20;

std::int64_t millis(auto time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}

template <class T>
T from_hex(std::string_view text) {
  T out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return out;
}

Index::New as_new(const Message& message) {
  return {.seq = message.seq,
          .sent_ms = message.sent_ms,
          .delayed_until_ms = message.delayed_until_ms,
          .receives = message.receives,
          .first_ms = message.first_receive_ms,
          .group = message.group};
}

}  // namespace

Queue::Queue(Deps deps, Info info)
    : deps_(std::move(deps)),
      info_(std::move(info)),
      number_(from_hex<std::uint64_t>(info_.id)),
      index_(info_.ref.fifo() ? Index::Kind::fifo : Index::Kind::standard),
      last_seq_(info_.purged_seq),
      frontier_(info_.purged_seq),
      arrivals_(deps_.loop),
      tasks_(deps_.loop) {}

Queue::~Queue() {
  if (timer_) deps_.loop.cancel_timer(*timer_);
}

std::string Queue::key_of(std::uint64_t seq) const {
  return fmt::format("msg/{}/{:016x}", info_.id, seq);
}

Result<> Queue::load() {
  std::string prefix = fmt::format("msg/{}/", info_.id);
  TRY_ASSIGN(auto rows, deps_.store.count(prefix, key_of(info_.purged_seq)));
  backlog_ = rows;
  if (fifo()) {
    // Its order is by group: all of it must be known.
    while (backlog_ > 0) TRY(refill());
    TRY(load_deduplications());
  } else if (backlog_ > 0) {
    TRY(refill());
  }
  settle();
  return {};
}

void Queue::set_info(Info info) {
  info_ = std::move(info);
  settle();
}

// Grows with time, so that it grows on over a restart, whatever rows are left.
std::uint64_t Queue::next_seq(std::int64_t now) {
  last_seq_ = std::max(last_seq_ + 1, static_cast<std::uint64_t>(now) << seq_shift);
  return last_seq_;
}

Index::New Queue::prepare(Message& message, store::Batch& batch) {
  message.seq = next_seq(now_ms());
  batch.puts.push_back({key_of(message.seq), encode(message)});
  committing_.insert(message.seq);
  return as_new(message);
}

void Queue::arrived(const Index::New& message) {
  committing_.erase(message.seq);
  if (deleted_ || message.seq <= info_.purged_seq) return;
  std::int64_t now = now_ms();
  bool known = fifo() || message.delayed_until_ms > now || message.seq <= frontier_;
  if (!known && (backlog_ > 0 || index_.ready() >= limits::sqs_window)) {
    ++backlog_;
    return;
  }
  index_.add(message, now);
  if (backlog_ == 0) frontier_ = std::max(frontier_, message.seq);
}

Queue::Sending Queue::prepare_sends(std::vector<Message> messages, store::Batch& batch) {
  std::int64_t now = now_ms();
  Sending out;
  if (fifo()) forget_deduplications(now, batch);
  for (auto& message : messages) {
    std::string key = fifo() ? deduplication_key(message) : std::string();
    if (auto known = deduplications_.find(key); fifo() && known != deduplications_.end()) {
      // Written again, for this answer must not come before the first one is on the disk.
      put_deduplication(key, known->second, batch);
      out.sent.push_back({known->second.id, known->second.seq});
      continue;
    }
    if (message.id.empty()) message.id = deps_.random.uuid4();
    message.sent_ms = now;
    out.fresh.push_back(prepare(message, batch));
    out.sent.push_back({message.id, message.seq});
    if (!fifo()) continue;
    Deduplication one{message.id, message.seq, now + millis(limits::sqs_deduplication_time)};
    put_deduplication(key, one, batch);
    deduplication_ends_.emplace(one.expires_ms, key);
    deduplications_[key] = std::move(one);
    out.reserved.push_back(std::move(key));
  }
  return out;
}

std::string_view name_of(Step step) {
  switch (step) {
    case Step::sent: return "sent";
    case Step::received: return "received";
    case Step::empty_receive: return "empty_receive";
    case Step::deleted: return "deleted";
  }
  return {};
}

void Queue::end_sends(const Sending& sending, bool stored) {
  if (stored) count(Step::sent, sending.sent.size());
  for (const auto& one : sending.fresh) stored ? arrived(one) : drop(one);
  if (!stored) {
    for (const auto& key : sending.reserved) {
      deduplication_ends_.erase({deduplications_[key].expires_ms, key});
      deduplications_.erase(key);
    }
  }
  settle();
}

io::Task<Result<std::vector<Sent>>> Queue::send(std::vector<Message> messages) {
  auto self = shared_from_this();
  if (deleted_) co_return fail(ErrorKind::not_found, "the queue is deleted");
  store::Batch batch;
  auto sending = prepare_sends(std::move(messages), batch);
  auto done = co_await deps_.store.commit(std::move(batch));
  end_sends(sending, done.has_value());
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return std::move(sending.sent);
}

// Reads on in the backlog, some megabytes at a time.
Result<> Queue::refill() {
  std::string prefix = fmt::format("msg/{}/", info_.id);
  TRY_ASSIGN(auto rows, deps_.store.scan(prefix, key_of(frontier_), refill_rows_));
  std::int64_t now = now_ms();
  std::size_t bytes = 0;
  for (const auto& row : rows) {
    bytes += row.value.size();
    auto seq = from_hex<std::uint64_t>(std::string_view(row.key).substr(prefix.size()));
    frontier_ = std::max(frontier_, seq);
    last_seq_ = std::max(last_seq_, seq);
    if (index_.find(seq) != nullptr || committing_.contains(seq) || leaving_.contains(seq)) {
      continue;
    }
    if (backlog_ > 0) --backlog_;
    auto message = decode_message(row.value, seq);
    if (!message) {
      // It stays for a person to look at, and holds up nobody.
      log::error("sqs", "'{}' is skipped: {}", row.key, message.error().message);
      continue;
    }
    index_.add(as_new(*message), now);
  }
  if (rows.size() < refill_rows_) backlog_ = 0;
  std::size_t mean = rows.empty() ? 1 : bytes / rows.size() + 1;
  refill_rows_ = std::clamp(load_bytes / mean, load_rows / 4, std::size_t{2000});
  return {};
}

Queue::Counts Queue::counts() const {
  return {index_.ready() + backlog_, index_.in_flight(), index_.delayed()};
}

// ---- Time and waiting

void Queue::tick() {
  std::int64_t now = now_ms();
  std::vector<std::uint64_t> doomed;
  for (auto seq : index_.wake(now)) {
    const auto* item = index_.find(seq);
    if (item != nullptr && worn_out(*item) && index_.leave(seq)) doomed.push_back(seq);
  }
  if (!doomed.empty()) tasks_.spawn(dead_letter(std::move(doomed)));
  expire();
}

// Beyond its retention period a message is gone, in flight or not.
void Queue::expire() {
  auto old = index_.sent_before(now_ms() - info_.settings.retention_ms + 1, expire_rows);
  if (old.empty()) return;
  for (auto seq : old) index_.leave(seq);
  tasks_.spawn(remove_quietly(std::move(old)));
}

io::Task<void> Queue::remove_quietly(std::vector<std::uint64_t> seqs) {
  auto self = shared_from_this();
  store::Batch batch;
  for (auto seq : seqs) batch.deletes.push_back(key_of(seq));
  auto done = co_await deps_.store.commit(std::move(batch));
  if (!done) {
    log::error("sqs", "messages of {} cannot be removed: {}", info_.ref.arn(),
               done.error().message);
    co_await io::sleep_for(deps_.loop, std::chrono::seconds(1), tasks_.stop_token());
  }
  for (auto seq : seqs) done ? index_.erase(seq) : index_.stay(seq);
  settle();
}

void Queue::arm() {
  auto due = index_.next_due();
  if (auto oldest = index_.oldest_sent()) {
    std::int64_t end = *oldest + info_.settings.retention_ms;
    due = due ? std::min(*due, end) : end;
  }
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
  if (!due || deleted_ || released_) return;
  timer_ = deps_.loop.add_platform_timer(from_epoch_millis(*due), [this] {
    timer_.reset();
    tick();
    settle();
  });
}

// After every change: the next time to wake, and whoever waits for a message.
void Queue::settle() {
  if (backlog_ > 0 && index_.ready() == 0 && !released_) {
    if (auto read = refill(); !read) {
      log::error("sqs", "{} cannot be read: {}", info_.ref.arn(), read.error().message);
    }
  }
  arm();
  if (!index_.open()) return;
  std::size_t wake = std::min(index_.ready(), arrivals_.size());
  for (std::size_t i = 0; i < wake; ++i) arrivals_.wake_one();
  tell_watchers();
}

void Queue::tell_watchers() {
  if (telling_ || watchers_.empty()) return;
  telling_ = true;
  auto calls = watchers_;  // one may watch and unwatch
  for (auto& [id, call] : calls) {
    if (watchers_.contains(id)) call();
  }
  telling_ = false;
}

std::uint64_t Queue::watch(Arrival call) {
  watchers_.emplace(next_watcher_, std::move(call));
  return next_watcher_++;
}

void Queue::release() {
  released_ = true;
  arrivals_.wake_all(io::Wake::cancelled);
}

void Queue::set_deleted() {
  deleted_ = true;
  index_.clear();
  backlog_ = 0;
  arrivals_.wake_all();
  arm();
}

void Queue::purged() {
  index_.clear();
  backlog_ = 0;
  leaving_.clear();
  frontier_ = std::max(frontier_, info_.purged_seq);
  settle();
}

io::Task<void> Queue::close() {
  release();
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
  co_await tasks_.close();
}

}  // namespace mayfly::services::sqs
