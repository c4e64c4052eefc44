// The writer's part for logs: appending, forgetting, and the erasing of what was dropped.
#include "store/format.h"
#include "store/writer.h"

namespace mayfly::store {
namespace {

// Entries erased in one transaction: other writers wait for at most one such step.
constexpr std::int64_t erase_step = 2'000;
// Free pages that stay in the file for reuse, and how many go back in one step.
constexpr std::int64_t free_pages_kept = 4'096;

}  // namespace

Result<Writer::Log*> Writer::find_log(const std::string& name, bool make) {
  auto at = logs_.find(name);
  if (at != logs_.end()) return &at->second;
  auto find = db_.prepare("SELECT id, next_seq, bytes FROM logs WHERE name = ?");
  TRY_ASSIGN(bool there, find.bind(name).step());
  if (!there && !make) return nullptr;
  Log log;
  if (there) {
    log = {find.integer(0), static_cast<std::uint64_t>(find.integer(1)), find.integer(2), false};
  } else {
    auto insert = db_.prepare(
        "INSERT INTO logs (name, next_seq, bytes) VALUES (?, 1, 0) "
        "RETURNING id");
    TRY(insert.bind(name).step());
    log.id = insert.integer(0);
    TRY(insert.step());
    if (log.id > max_log) return fail(ErrorKind::too_large, "too many logs were made");
  }
  return &logs_.emplace(name, log).first->second;
}

Result<Writer::Stream*> Writer::find_stream(const Log& log, const std::string& name, bool make) {
  auto at = streams_.find({log.id, name});
  if (at != streams_.end()) return &at->second;
  auto find = db_.prepare("SELECT id, bytes FROM streams WHERE log = ? AND name = ?");
  TRY_ASSIGN(bool there, find.bind(log.id).bind(name).step());
  if (!there && !make) return nullptr;
  Stream stream;
  if (there) {
    stream = {find.integer(0), find.integer(1), false};
  } else {
    auto insert = db_.prepare(
        "INSERT INTO streams (log, name, bytes) VALUES (?, ?, 0) "
        "RETURNING id");
    TRY(insert.bind(log.id).bind(name).step());
    stream.id = insert.integer(0);
    TRY(insert.step());
  }
  return &streams_.emplace(std::pair(log.id, name), stream).first->second;
}

Result<> Writer::append(const Batch::Append& entry) {
  TRY_ASSIGN(Log * log, find_log(entry.log, true));
  TRY_ASSIGN(Stream * stream, find_stream(*log, entry.stream, true));
  if (log->next_seq >= max_seq) return fail(ErrorKind::too_large, "the log is full");
  std::uint64_t seq = log->next_seq++;
  TRY(db_.prepare("INSERT INTO entries (id, log, stream, time_ms, sum, payload) "
                  "VALUES (?, ?, ?, ?, ?, ?)")
          .bind(entry_id(log->id, seq))
          .bind(log->id)
          .bind(stream->id)
          .bind(entry.time_ms)
          .bind(entry_sum(log->id, seq, stream->id, entry.time_ms, entry.payload))
          .bind(entry.payload)
          .run());
  auto size = static_cast<std::int64_t>(entry.payload.size());
  log->bytes += size;
  stream->bytes += size;
  if (!std::exchange(log->dirty, true)) dirty_logs_.push_back(log);
  if (!std::exchange(stream->dirty, true)) dirty_streams_.push_back(stream);
  return {};
}

// Entries of one stream were erased: the counters of the log and, unless it was dropped (which
// took its bytes from the log), of the stream follow.
Result<> Writer::forget(Log& log, std::int64_t stream, std::int64_t bytes) {
  auto name = db_.prepare("SELECT name FROM streams WHERE id = ?");
  TRY_ASSIGN(bool there, name.bind(stream).step());
  if (!there) return {};
  TRY_ASSIGN(Stream * found, find_stream(log, std::string(name.bytes(0)), false));
  log.bytes -= bytes;
  found->bytes -= bytes;
  if (!std::exchange(log.dirty, true)) dirty_logs_.push_back(&log);
  if (!std::exchange(found->dirty, true)) dirty_streams_.push_back(found);
  return {};
}

Result<> Writer::trim(WriteOp& op) {
  TRY_ASSIGN(Log * log, find_log(op.log, false));
  if (log == nullptr) return {};
  std::map<std::int64_t, std::int64_t> bytes;  // by stream
  std::vector<std::int64_t> doomed;
  auto choose = [&](std::string_view sql, std::int64_t first, std::int64_t bound) -> Result<> {
    auto find = db_.prepare(sql);
    find.bind(first).bind(bound).bind(erase_step);
    while (true) {
      TRY_ASSIGN(bool row, find.step());
      if (!row) return {};
      doomed.push_back(find.integer(0));
      bytes[find.integer(1)] += find.integer(2);
    }
  };
  TRY(choose("SELECT id, stream, length(payload) FROM entries WHERE id >= ? AND id < ? LIMIT ?",
             entry_id(log->id, 0), entry_id(log->id, op.before_seq)));
  // One bound after the other, so that no entry is chosen (and counted) twice.
  if (doomed.empty()) {
    TRY(
        choose("SELECT id, stream, length(payload) FROM entries INDEXED BY entries_by_time "
               "WHERE log = ? AND time_ms < ? LIMIT ?",
               log->id, op.before_ms));
  }
  for (auto id : doomed) TRY(db_.prepare("DELETE FROM entries WHERE id = ?").bind(id).run());
  for (auto [stream, size] : bytes) TRY(forget(*log, stream, size));
  op.step = doomed.size();
  op.more = !doomed.empty();
  return {};
}

Result<> Writer::drop_log(WriteOp& op) {
  TRY_ASSIGN(Log * log, find_log(op.log, false));
  if (log == nullptr) return {};
  TRY(db_.prepare("DELETE FROM logs WHERE id = ?").bind(log->id).run());
  TRY(db_.prepare("INSERT INTO garbage (log, stream) VALUES (?, 0)").bind(log->id).run());
  TRY(save_counters());  // the cached rows may be dirty; they are forgotten now
  forget_cached();
  return {};
}

Result<> Writer::drop_stream(WriteOp& op) {
  TRY_ASSIGN(Log * log, find_log(op.log, false));
  if (log == nullptr) return {};
  TRY_ASSIGN(Stream * stream, find_stream(*log, op.stream, false));
  if (stream == nullptr) return {};
  log->bytes -= stream->bytes;
  if (!std::exchange(log->dirty, true)) dirty_logs_.push_back(log);
  TRY(db_.prepare("DELETE FROM streams WHERE id = ?").bind(stream->id).run());
  TRY(db_.prepare("INSERT INTO garbage (log, stream) VALUES (?, ?)")
          .bind(log->id)
          .bind(stream->id)
          .run());
  std::erase(dirty_streams_, stream);
  streams_.erase({log->id, op.stream});
  return {};
}

Result<bool> Writer::collect() {
  if (db_.sync_failed()) return false;
  TRY(set_synced(false));
  TRY(db_.exec("BEGIN IMMEDIATE"));
  auto more = collect_step();
  auto done = more ? db_.exec("COMMIT") : std::unexpected(more.error());
  if (!done) {
    if (db_.in_transaction()) std::ignore = db_.exec("ROLLBACK");
    return std::unexpected(done.error());
  }
  if (*more) return true;
  return shrink();
}

Result<bool> Writer::collect_step() {
  std::int64_t log = 0;
  std::int64_t stream = 0;
  {
    auto next = db_.prepare("SELECT log, stream FROM garbage LIMIT 1");
    TRY_ASSIGN(bool any, next.step());
    if (!any) return false;
    log = next.integer(0);
    stream = next.integer(1);
  }
  if (stream == 0) {
    TRY(db_.prepare("DELETE FROM entries WHERE id IN "
                    "(SELECT id FROM entries WHERE id >= ? AND id <= ? LIMIT ?)")
            .bind(entry_id(log, 0))
            .bind(entry_id(log, max_seq))
            .bind(erase_step)
            .run());
  } else {
    TRY(db_.prepare("DELETE FROM entries WHERE id IN (SELECT id FROM entries "
                    "INDEXED BY entries_by_stream WHERE log = ? AND stream = ? LIMIT ?)")
            .bind(log)
            .bind(stream)
            .bind(erase_step)
            .run());
  }
  if (db_.changes() > 0) return true;
  if (stream == 0) TRY(db_.prepare("DELETE FROM streams WHERE log = ?").bind(log).run());
  TRY(db_.prepare("DELETE FROM garbage WHERE log = ? AND stream = ?").bind(log).bind(stream).run());
  return true;
}

Result<bool> Writer::shrink() {
  TRY_ASSIGN(auto unused, db_.integer("PRAGMA freelist_count"));
  TRY_ASSIGN(auto all, db_.integer("PRAGMA page_count"));
  if (unused < free_pages_kept || unused < all / 4) return false;
  TRY(db_.exec("PRAGMA incremental_vacuum(1024)"));
  return true;
}

}  // namespace mayfly::store
