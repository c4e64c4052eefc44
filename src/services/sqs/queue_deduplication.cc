// Deduplication: for five minutes a FIFO queue takes a deduplication id once (of the queue, or of
// each group), over restarts and deletions.
#include "services/sqs/queue.h"
#include "wire/hash.h"
#include "wire/json.h"

namespace mayfly::services::sqs {

std::string Queue::deduplication_key(const Message& message) const {
  const auto& id = message.deduplication;
  // Neither holds a blank.
  return info_.settings.deduplicate_by_group ? message.group + " " + id : id;
}

std::string Queue::deduplication_row(std::string_view key) const {
  return fmt::format("dedup/{}/{}", info_.id, wire::sha256_hex(key));
}

void Queue::put_deduplication(const std::string& key, const Deduplication& one,
                              store::Batch& batch) {
  wire::Json row = wire::Json::object({{"key", key},
                                       {"id", one.id},
                                       {"seq", static_cast<std::int64_t>(one.seq)},
                                       {"expires", one.expires_ms}});
  batch.puts.push_back({deduplication_row(key), row.dump()});
}

void Queue::forget_deduplications(std::int64_t now, store::Batch& batch) {
  while (!deduplication_ends_.empty() && deduplication_ends_.begin()->first <= now) {
    const auto& key = deduplication_ends_.begin()->second;
    batch.deletes.push_back(deduplication_row(key));
    deduplications_.erase(key);
    deduplication_ends_.erase(deduplication_ends_.begin());
  }
}

Result<> Queue::load_deduplications() {
  std::string prefix = fmt::format("dedup/{}/", info_.id);
  constexpr std::size_t page = 1000;
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan(prefix, after, page));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto json, wire::parse_json(row.value));
      Deduplication one{std::string(json.string_or("id")),
                        static_cast<std::uint64_t>(json.int_or("seq", 0)),
                        json.int_or("expires", 0)};
      std::string key(json.string_or("key"));
      last_seq_ = std::max(last_seq_, one.seq);
      deduplication_ends_.emplace(one.expires_ms, key);
      deduplications_.emplace(std::move(key), std::move(one));
    }
    if (rows.size() < page) return {};
    after = rows.back().key;
  }
}

}  // namespace mayfly::services::sqs
