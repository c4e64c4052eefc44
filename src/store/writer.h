// Writer: the one thread that changes a database file. It takes all operations that wait and
// commits them as one transaction (group commit): one sync to the disk answers many callers.
//
// Owns the writing connection and its thread. submit() may be called from any thread; `on_done`
// runs on the writer's thread. The destructor finishes what was submitted.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "store/sqlite.h"
#include "store/store.h"

namespace mayfly::store {

struct WriteOp {
  enum class Kind { batch, trim, drop_log, drop_stream };
  explicit WriteOp(io::Loop& loop) : done(loop) {}

  Kind kind = Kind::batch;
  Durability durability = Durability::synced;
  Batch batch{};
  std::string log{};
  std::string stream{};
  std::uint64_t before_seq = 0;
  std::int64_t before_ms = INT64_MIN;

  // Written by the writer until it hands the operation over, read on the loop after.
  Result<std::uint64_t> result = 0;  // revision, or entries forgotten
  std::uint64_t step = 0;            // entries forgotten by the transaction that runs
  bool more = false;                 // a further transaction is needed
  io::Event done;
};
using WriteOps = std::vector<std::shared_ptr<WriteOp>>;

class Writer {
 public:
  using OnDone = std::function<void(WriteOps)>;
  static Result<std::unique_ptr<Writer>> open(const std::filesystem::path& file, OnDone on_done);
  ~Writer();

  void submit(std::shared_ptr<WriteOp> op);

 private:
  struct Log {
    std::int64_t id = 0;
    std::uint64_t next_seq = 1;
    std::int64_t bytes = 0;
    bool dirty = false;
  };
  struct Stream {
    std::int64_t id = 0;
    std::int64_t bytes = 0;
    bool dirty = false;
  };

  void work();
  void run_group(WriteOps group);
  Result<> transaction(std::span<const std::shared_ptr<WriteOp>> ops);
  Result<> apply_all(std::span<const std::shared_ptr<WriteOp>> ops);
  Result<> apply(WriteOp& op);
  Result<> apply_batch(WriteOp& op);
  Result<bool> expected(WriteOp& op);
  Result<> append(const Batch::Append& entry);
  Result<> trim(WriteOp& op);
  Result<> drop_log(WriteOp& op);
  Result<> drop_stream(WriteOp& op);
  Result<Log*> find_log(const std::string& name, bool make);
  Result<Stream*> find_stream(const Log& log, const std::string& name, bool make);
  Result<> forget(Log& log, std::int64_t stream, std::int64_t bytes);
  Result<> save_counters();
  void forget_cached();
  Result<> set_synced(bool synced);
  Result<bool> collect();  // one step of garbage; true: there may be more
  Result<bool> collect_step();
  Result<bool> shrink();  // gives free pages back to the file system; true: there may be more
  void checkpoint();

  Sqlite db_;
  OnDone on_done_;
  std::uint64_t revision_ = 0;
  bool synced_ = true;  // what the connection is set to
  bool idle_work_ = true;
  std::map<std::string, Log> logs_;
  std::map<std::pair<std::int64_t, std::string>, Stream> streams_;
  std::vector<Log*> dirty_logs_;
  std::vector<Stream*> dirty_streams_;

  std::mutex mutex_;
  std::condition_variable wake_;
  WriteOps queue_;       // guarded by mutex_
  bool ending_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace mayfly::store
