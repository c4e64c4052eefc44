#include "store/writer.h"

#include "base/log.h"
#include "store/format.h"

namespace mayfly::store {
namespace {

// 4 MiB of log before it is copied into the database; 64 MiB before writers wait for it to empty.
constexpr int checkpoint_pages = 1024;
constexpr int truncate_pages = 16 * 1024;
// What the maps of known logs and streams may hold between groups.
constexpr std::size_t cached_streams = 20'000;

}  // namespace

Result<std::unique_ptr<Writer>> Writer::open(const std::filesystem::path& file, OnDone on_done) {
  auto writer = std::make_unique<Writer>();
  TRY(open_format(writer->db_, file));
  // A killed process leaves a log behind: copy it now, so that start is the only slow moment.
  TRY(writer->db_.checkpoint(true));
  TRY_ASSIGN(auto revision, writer->db_.integer("SELECT revision FROM counter"));
  writer->revision_ = static_cast<std::uint64_t>(revision);
  writer->on_done_ = std::move(on_done);
  writer->thread_ = std::thread([self = writer.get()] { self->work(); });
  return writer;
}

Writer::~Writer() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Writer::submit(std::shared_ptr<WriteOp> op) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(op));
  }
  wake_.notify_one();
}

void Writer::work() {
  while (true) {
    WriteOps group;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || idle_work_ || !queue_.empty(); });
      if (queue_.empty() && ending_) return;
      group.swap(queue_);
    }
    if (!group.empty()) {
      run_group(std::move(group));
      checkpoint();
      continue;
    }
    auto more = collect();
    if (!more) log::warn("store", "erasing dropped logs: {}", more.error().message);
    idle_work_ = more.value_or(false);
    checkpoint();
  }
}

void Writer::run_group(WriteOps group) {
  auto done = transaction(group);
  if (!done && group.size() > 1) {
    // One operation that the disk refuses (too large for the room left, say) must not spoil the
    // others: each gets a transaction of its own.
    for (auto& op : group) {
      if (auto alone = transaction({&op, 1}); !alone) op->result = std::unexpected(alone.error());
    }
  } else if (!done) {
    group.front()->result = std::unexpected(done.error());
  }
  WriteOps finished;
  for (auto& op : group) {
    if (op->result && op->kind != WriteOp::Kind::batch) idle_work_ = true;
    if (op->result && op->more) {
      submit(std::move(op));
    } else {
      finished.push_back(std::move(op));
    }
  }
  if (!finished.empty()) on_done_(std::move(finished));
}

Result<> Writer::transaction(std::span<const std::shared_ptr<WriteOp>> ops) {
  if (db_.sync_failed()) {
    // After a failed fsync the kernel may have dropped pages that it reports clean: only opening
    // the file anew tells what it holds.
    return fail(ErrorKind::unavailable, "the disk failed to store data; restart the server");
  }
  bool synced =
      std::ranges::any_of(ops, [](const auto& op) { return op->durability == Durability::synced; });
  TRY(set_synced(synced));
  std::uint64_t before = revision_;
  TRY(db_.exec("BEGIN IMMEDIATE"));
  auto done = apply_all(ops);
  if (done) done = db_.exec("COMMIT");
  if (!done) {
    // SQLite has rolled back already after some errors (a full disk).
    if (db_.in_transaction()) std::ignore = db_.exec("ROLLBACK");
    revision_ = before;
    forget_cached();
    return done;
  }
  for (const auto& op : ops) {
    if (op->kind != WriteOp::Kind::batch && op->result) *op->result += op->step;
  }
  if (streams_.size() > cached_streams) forget_cached();
  return {};
}

Result<> Writer::apply_all(std::span<const std::shared_ptr<WriteOp>> ops) {
  for (const auto& op : ops) {
    op->step = 0;
    op->more = false;
    TRY(apply(*op));
  }
  return save_counters();
}

Result<> Writer::apply(WriteOp& op) {
  switch (op.kind) {
    case WriteOp::Kind::batch: return apply_batch(op);
    case WriteOp::Kind::trim: return trim(op);
    case WriteOp::Kind::drop_log: return drop_log(op);
    case WriteOp::Kind::drop_stream: return drop_stream(op);
  }
  return {};
}

// Inside the transaction, so that an earlier batch of the same group counts.
Result<bool> Writer::expected(WriteOp& op) {
  for (const auto& expect : op.batch.expects) {
    auto find = db_.prepare("SELECT revision FROM records WHERE key = ?");
    TRY_ASSIGN(bool there, find.bind(expect.key).step());
    Revision now = there ? static_cast<Revision>(find.integer(0)) : 0;
    if (now != expect.revision) {
      op.result = fail(ErrorKind::conflict, "the record '" + expect.key + "' changed meanwhile");
      return false;
    }
  }
  return true;
}

Result<> Writer::apply_batch(WriteOp& op) {
  TRY_ASSIGN(bool wanted, expected(op));
  if (!wanted) return {};
  Revision revision = ++revision_;
  for (const auto& key : op.batch.deletes) {
    TRY(db_.prepare("DELETE FROM records WHERE key = ?").bind(key).run());
  }
  for (const auto& put : op.batch.puts) {
    TRY(db_.prepare("INSERT OR REPLACE INTO records (key, revision, sum, value) "
                    "VALUES (?, ?, ?, ?)")
            .bind(put.key)
            .bind(revision)
            .bind(record_sum(put.key, revision, put.value))
            .bind(put.value)
            .run());
  }
  for (const auto& entry : op.batch.appends) TRY(append(entry));
  op.result = revision;
  return {};
}

Result<> Writer::save_counters() {
  for (auto* log : dirty_logs_) {
    TRY(db_.prepare("UPDATE logs SET next_seq = ?, bytes = ? WHERE id = ?")
            .bind(log->next_seq)
            .bind(log->bytes)
            .bind(log->id)
            .run());
    log->dirty = false;
  }
  dirty_logs_.clear();
  for (auto* stream : dirty_streams_) {
    TRY(db_.prepare("UPDATE streams SET bytes = ? WHERE id = ?")
            .bind(stream->bytes)
            .bind(stream->id)
            .run());
    stream->dirty = false;
  }
  dirty_streams_.clear();
  return db_.prepare("UPDATE counter SET revision = ?").bind(revision_).run();
}

void Writer::forget_cached() {
  dirty_logs_.clear();
  dirty_streams_.clear();
  logs_.clear();
  streams_.clear();
}

Result<> Writer::set_synced(bool synced) {
  if (synced == synced_) return {};
  TRY(db_.exec(synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
  synced_ = synced;
  return {};
}

void Writer::checkpoint() {
  if (db_.wal_pages() < checkpoint_pages || db_.sync_failed()) return;
  auto pages = db_.checkpoint(db_.wal_pages() >= truncate_pages);
  if (!pages) log::warn("store", "checkpoint: {}", pages.error().message);
}

}  // namespace mayfly::store
