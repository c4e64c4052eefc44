#include "store/blobs.h"
#include "store/dir_lock.h"
#include "store/reader.h"
#include "store/store.h"
#include "store/writer.h"

namespace mayfly::store {
namespace {

// The embedded engine: a writer thread, a reader on the loop, blobs on the workers.
//
// Owned by mayfly/ and called on the loop's thread. Its end finishes what was submitted; tasks
// that still wait for a commit then must not be resumed, so whoever owns them ends before.
class EmbeddedStore final : public Store {
 public:
  EmbeddedStore(io::Loop& loop, io::Workers& workers, std::filesystem::path dir, std::string file)
      : loop_(loop),
        workers_(workers),
        dir_(std::move(dir)),
        file_(std::move(file)),
        blobs_(std::make_shared<Blobs>(dir_ / "blobs")) {}

  ~EmbeddedStore() override {
    writer_.reset();
    if (claimed_) lock_->release(file_);
  }

  Result<> open() {
    bool fresh = false;
    TRY_ASSIGN(lock_, DirLock::take(dir_, fresh));
    TRY(lock_->claim(file_));
    claimed_ = true;
    if (fresh) TRY(blobs_->sweep());
    auto path = dir_ / (file_ + ".db");
    // `self` is emptied by the destructor: what is posted after it is dropped.
    TRY_ASSIGN(writer_,
               Writer::open(path, [&loop = loop_, self = std::weak_ptr(self_)](WriteOps ops) {
                 loop.post([self, ops = std::move(ops)] {
                   if (auto store = self.lock()) (*store)->finish(ops);
                 });
               }));
    return reader_.open(path);
  }

  Result<std::optional<Row>> get(std::string_view key) override { return reader_.get(key); }
  Result<std::vector<Row>> scan(std::string_view prefix, std::string_view after,
                                std::size_t limit) override {
    return reader_.scan(prefix, after, limit);
  }
  Result<std::uint64_t> count(std::string_view prefix, std::string_view after) override {
    return reader_.count(prefix, after);
  }
  Result<std::vector<Entry>> read(const LogQuery& query) override { return reader_.read(query); }
  Result<std::uint64_t> log_bytes(std::string_view log) override { return reader_.log_bytes(log); }

  io::Task<Result<Revision>> commit(Batch batch, Durability durability) override {
    auto op = std::make_shared<WriteOp>(loop_);
    op->batch = std::move(batch);
    op->durability = durability;
    co_return co_await write(std::move(op));
  }

  io::Task<Result<std::uint64_t>> trim(std::string log, std::uint64_t before_seq,
                                       std::int64_t before_ms) override {
    auto op = std::make_shared<WriteOp>(loop_);
    op->kind = WriteOp::Kind::trim;
    op->durability = Durability::buffered;
    op->log = std::move(log);
    op->before_seq = before_seq;
    op->before_ms = before_ms;
    co_return co_await write(std::move(op));
  }

  io::Task<Result<>> drop_log(std::string log) override {
    auto op = std::make_shared<WriteOp>(loop_);
    op->kind = WriteOp::Kind::drop_log;
    op->log = std::move(log);
    CO_TRY(co_await write(std::move(op)));
    co_return Result<>{};
  }

  io::Task<Result<>> drop_stream(std::string log, std::string stream) override {
    auto op = std::make_shared<WriteOp>(loop_);
    op->kind = WriteOp::Kind::drop_stream;
    op->log = std::move(log);
    op->stream = std::move(stream);
    CO_TRY(co_await write(std::move(op)));
    co_return Result<>{};
  }

  WatchId watch(std::string prefix, std::function<void(const Change&)> on_change) override {
    watches_.emplace(next_watch_, Watch{std::move(prefix), std::move(on_change)});
    return next_watch_++;
  }
  void unwatch(WatchId id) override { watches_.erase(id); }

  io::Task<Result<std::string>> put_blob(std::string bytes) override {
    auto blobs = blobs_;
    co_return co_await workers_.run(
        [blobs, bytes = std::move(bytes)] { return blobs->put(bytes); });
  }
  Result<std::filesystem::path> blob_path(std::string_view sha256) override {
    return blobs_->path(sha256);
  }
  io::Task<Result<std::string>> get_blob(std::string sha256) override {
    auto blobs = blobs_;
    co_return co_await workers_.run([blobs, sha256] { return blobs->get(sha256); });
  }
  io::Task<Result<>> delete_blob(std::string sha256) override {
    auto blobs = blobs_;
    co_return co_await workers_.run([blobs, sha256] { return blobs->remove(sha256); });
  }

 private:
  struct Watch {
    std::string prefix;
    std::function<void(const Change&)> on_change;
  };

  io::Task<Result<std::uint64_t>> write(std::shared_ptr<WriteOp> op) {
    writer_->submit(op);
    co_await op->done.wait();
    co_return std::move(op->result);
  }

  void finish(const WriteOps& ops) {
    for (const auto& op : ops) {
      if (op->kind == WriteOp::Kind::batch && op->result) tell(*op);
      op->done.set();
    }
  }

  void tell(const WriteOp& op) {
    if (watches_.empty()) return;
    for (const auto& key : op.batch.deletes) tell(Change{key, std::nullopt, *op.result});
    for (const auto& put : op.batch.puts) tell(Change{put.key, put.value, *op.result});
  }

  void tell(const Change& change) {
    // By id, since a callback may watch and unwatch.
    for (auto at = watches_.begin(); at != watches_.end();) {
      WatchId id = at->first;
      if (change.key.starts_with(at->second.prefix)) {
        auto call = at->second.on_change;
        call(change);
      }
      at = watches_.upper_bound(id);
    }
  }

  io::Loop& loop_;
  io::Workers& workers_;
  std::filesystem::path dir_;
  std::string file_;
  std::shared_ptr<Blobs> blobs_;
  std::shared_ptr<DirLock> lock_;
  bool claimed_ = false;
  std::shared_ptr<EmbeddedStore*> self_ = std::make_shared<EmbeddedStore*>(this);
  std::unique_ptr<Writer> writer_;
  Reader reader_;
  WatchId next_watch_ = 1;
  std::map<WatchId, Watch> watches_;
};

}  // namespace

Result<std::unique_ptr<Store>> open_embedded(io::Loop& loop, io::Workers& workers,
                                             std::filesystem::path dir, std::string file) {
  // Paths of blobs are handed out: they stay right whatever the working directory becomes.
  std::error_code failed;
  dir = std::filesystem::absolute(dir, failed);
  if (failed) return fail_errno("resolve the data directory", failed.value());
  auto store = std::make_unique<EmbeddedStore>(loop, workers, std::move(dir), std::move(file));
  TRY(store->open());
  return store;
}

}  // namespace mayfly::store
