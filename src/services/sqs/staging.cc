#include "services/sqs/staging.h"

#include <charconv>

#include "base/log.h"

namespace mayfly::services::sqs {

namespace {

constexpr std::string_view once_prefix = "once/";
constexpr std::size_t forgotten_at_once = 500;

std::int64_t millis_of(auto time) { return std::chrono::milliseconds(time).count(); }

// nullopt: no record of this form.
std::optional<std::int64_t> done_ms(std::string_view record) {
  std::int64_t out = 0;
  auto [end, error] = std::from_chars(record.data(), record.data() + record.size(), out);
  if (error != std::errc{} || end == record.data() + record.size() || *end != ' ') {
    return std::nullopt;
  }
  return out;
}

}  // namespace

Result<> Staging::make_room(std::size_t messages, std::size_t bytes) {
  if (messages_ + messages > limits::once_staged_messages ||
      bytes_ + bytes > limits::once_staged_bytes) {
    return fail(ErrorKind::too_large,
                fmt::format("an invocation with exactly-once effects may send {} messages of {} "
                            "bytes in sum",
                            limits::once_staged_messages, limits::once_staged_bytes));
  }
  messages_ += messages;
  bytes_ += bytes;
  return {};
}

Result<> Staging::hold(std::vector<events::HeldEffect> effects) {
  std::size_t bytes = 0;
  for (const auto& effect : effects) bytes += effect.record.size();
  TRY(make_room(effects.size(), bytes));
  std::ranges::move(effects, std::back_inserter(held_));
  return {};
}

Result<std::vector<Sent>> Staging::stage(std::shared_ptr<Queue> to, std::vector<Message> messages) {
  std::size_t bytes = 0;
  for (const auto& message : messages) bytes += size_of(message);
  TRY(make_room(messages.size(), bytes));
  std::vector<Sent> out;
  for (auto& message : messages) {
    message.id = deps_.random.uuid4();
    out.push_back({message.id, 0});
  }
  if (groups_.empty() || groups_.back().to != to) groups_.push_back({std::move(to), {}});
  auto& kept = groups_.back().messages;
  kept.insert(kept.end(), std::make_move_iterator(messages.begin()),
              std::make_move_iterator(messages.end()));
  return out;
}

io::Task<Result<>> Staging::commit(std::vector<std::string> handles, std::string request_id,
                                   std::string outcome) {
  std::vector<std::uint64_t> seqs;
  for (const auto& handle : handles) {
    CO_TRY_ASSIGN(auto read, from_->read_receipt(handle));
    if (!from_->holds(read)) {
      co_return fail(ErrorKind::conflict, "a message was given to somebody else meanwhile");
    }
    seqs.push_back(read.seq);
  }
  for (const auto& group : groups_) {
    if (group.to->deleted()) co_return fail(ErrorKind::not_found, "a queue was deleted meanwhile");
  }
  store::Batch batch;
  // The queues stay as long as this runs.
  auto groups = std::move(groups_);
  std::vector<Queue::Sending> sending;
  for (auto& group : groups) {
    sending.push_back(group.to->prepare_sends(std::move(group.messages), batch));
  }
  auto held = deps_.carrier.prepare(std::move(held_), batch);
  if (from_) from_->prepare_removes(seqs, batch);
  if (!request_id.empty()) {
    auto now = epoch_millis(deps_.loop.clock().platform());
    batch.puts.push_back(
        {fmt::format("{}{}", once_prefix, request_id), fmt::format("{} {}", now, outcome)});
  }
  if (batch.puts.empty() && batch.deletes.empty()) co_return Result<>{};
  auto done = co_await deps_.store.commit(std::move(batch));
  for (std::size_t i = 0; i < groups.size(); ++i) {
    groups[i].to->end_sends(sending[i], done.has_value());
  }
  if (from_) from_->end_removes(seqs, done.has_value());
  if (!done) co_return std::unexpected(std::move(done).error());
  deps_.carrier.take(std::move(held));
  co_return Result<>{};
}

Result<std::optional<std::string>> StagedSends::done(std::string_view request_id) {
  TRY_ASSIGN(auto row, deps_.store.get(fmt::format("{}{}", once_prefix, request_id)));
  if (!row) return std::optional<std::string>();
  auto blank = row->value.find(' ');
  if (!done_ms(row->value)) {
    return fail(ErrorKind::corrupt, fmt::format("the record of {} is damaged", request_id));
  }
  return std::optional(row->value.substr(blank + 1));
}

// With what begins, now and then: nobody waits for it.
void StagedSends::forget_old() {
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  if (now - swept_ms_ < millis_of(limits::once_remembered) / 24) return;
  swept_ms_ = now;
  tasks_.spawn(forget());
}

io::Task<void> StagedSends::forget() {
  std::int64_t before =
      epoch_millis(deps_.loop.clock().platform()) - millis_of(limits::once_remembered);
  std::string after;
  while (!tasks_.stop_token().stop_requested()) {
    auto rows = deps_.store.scan(once_prefix, after, forgotten_at_once);
    if (!rows || rows->empty()) co_return;
    after = rows->back().key;
    store::Batch batch;
    for (const auto& row : *rows) {
      auto when = done_ms(row.value);
      if (when && *when < before) batch.deletes.push_back(row.key);
    }
    bool last = rows->size() < forgotten_at_once;
    if (!batch.deletes.empty()) {
      if (auto gone = co_await deps_.store.commit(std::move(batch)); !gone) {
        log::warn("sqs", "records of what was done once stay: {}", gone.error().message);
        co_return;
      }
    }
    if (last) co_return;
  }
}

}  // namespace mayfly::services::sqs
