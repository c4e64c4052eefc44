// Store: durable records, append-only logs and blobs behind one interface. The embedded engine is
// SQLite in WAL mode with one writer thread and group commit (embedded_store.cc).
//
// Acknowledged means: when the Task of commit(), append() or put_blob() returns a value, the data
// is on the disk (fdatasync done) and survives kill -9 and power loss.
//
// Threads: call from the loop thread. Reads are synchronous and answered from an open read
// transaction; writes are handed to the writer thread and complete on the loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/park.h"
#include "io/workers.h"

namespace mayfly::store {

// A revision number grows with every commit of the whole store; 0 means "absent".
using Revision = std::uint64_t;

struct Row {
  std::string key;
  std::string value;
  Revision revision = 0;
};

// Several changes, all or none. `expect` makes the commit fail with `conflict` when the key's
// current revision differs (0: the key must be absent). Deletes apply before puts; within one batch
// the later of two puts of a key wins. A delete of an absent key changes nothing.
struct Batch {
  struct Put {
    std::string key;
    std::string value;
  };
  struct Expect {
    std::string key;
    Revision revision;
  };
  struct Append {
    std::string log;
    std::string stream;
    std::int64_t time_ms;
    std::string payload;
  };
  std::vector<Expect> expects{};
  std::vector<Put> puts{};
  std::vector<std::string> deletes{};
  std::vector<Append> appends{};
};

// One entry of a log. `seq` grows by one per entry of that log, without gaps at the time of append.
struct Entry {
  std::uint64_t seq = 0;
  std::string stream;
  std::int64_t time_ms = 0;
  std::string payload;
};

// `seq`: in the order of arrival. `time`: by (time_ms, seq), whatever the order of arrival.
enum class LogOrder { seq, time };

// A place between entries, for reading on in time order: strictly after (or, descending, before)
// the entry with this time and seq.
struct LogPlace {
  std::int64_t time_ms = 0;
  std::uint64_t seq = 0;
  auto operator<=>(const LogPlace&) const = default;
};

struct LogQuery {
  std::string log;
  LogOrder order = LogOrder::seq;
  // seq order: first seq wanted (ascending), or the last (descending; 0: from the end).
  std::uint64_t from_seq = 0;
  std::optional<LogPlace> place{};      // time order only: read on from here
  std::optional<std::string> stream{};  // entries of this stream only
  std::int64_t from_ms = INT64_MIN;     // time_ms >= from_ms
  std::int64_t to_ms = INT64_MAX;       // time_ms < to_ms
  std::size_t limit = 1000;
  std::size_t max_bytes = std::size_t{8} << 20;  // of payload; at least one entry is answered
  bool descending = false;
};

enum class Durability {
  synced,    // acknowledged after the disk has it (default)
  buffered,  // acknowledged when written; a power loss may lose the last moments (log text)
};

struct Change {
  std::string key;
  std::optional<std::string> value;  // nullopt: deleted
  Revision revision = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual Result<std::optional<Row>> get(std::string_view key) = 0;
  // Keys with `prefix`, in byte order, after `after` (exclusive), at most `limit`.
  virtual Result<std::vector<Row>> scan(std::string_view prefix, std::string_view after,
                                        std::size_t limit) = 0;
  // Keys with `prefix` after `after` (exclusive). Reads no values: for many keys.
  virtual Result<std::uint64_t> count(std::string_view prefix, std::string_view after) = 0;
  virtual io::Task<Result<Revision>> commit(Batch batch,
                                            Durability durability = Durability::synced) = 0;
  // `on_change` runs on the loop after each commit that touched `prefix`, in commit order.
  using WatchId = std::uint64_t;
  virtual WatchId watch(std::string prefix, std::function<void(const Change&)> on_change) = 0;
  virtual void unwatch(WatchId id) = 0;

  // Logs.
  virtual Result<std::vector<Entry>> read(const LogQuery& query) = 0;
  // Forgets entries with seq < before_seq and entries with time_ms < before_ms; answers how many.
  // (0 and INT64_MIN name none.) A log that is not there has no entries: 0.
  virtual io::Task<Result<std::uint64_t>> trim(std::string log, std::uint64_t before_seq,
                                               std::int64_t before_ms) = 0;
  // Dropping is complete for every reader when it is acknowledged; the space comes back later. A
  // new log of the same name begins again at seq 1.
  virtual io::Task<Result<>> drop_log(std::string log) = 0;
  // Drops all entries of one stream of a log.
  virtual io::Task<Result<>> drop_stream(std::string log, std::string stream) = 0;
  virtual Result<std::uint64_t> log_bytes(std::string_view log) = 0;  // stored payload bytes

  // Blobs, addressed by the lower-case hex SHA-256 of their content.
  virtual io::Task<Result<std::string>> put_blob(std::string bytes) = 0;
  virtual Result<std::filesystem::path> blob_path(std::string_view sha256) = 0;
  virtual io::Task<Result<std::string>> get_blob(std::string sha256) = 0;
  // A blob that is not there is deleted already: success.
  virtual io::Task<Result<>> delete_blob(std::string sha256) = 0;
};

// Opens (or creates) the embedded engine in `dir`. Refuses a directory of a newer format version
// and one that another process holds. `file` names the database ("state", "logs"): each has its
// own writer, so that log traffic never waits behind state and the other way round.
Result<std::unique_ptr<Store>> open_embedded(io::Loop& loop, io::Workers& workers,
                                             std::filesystem::path dir, std::string file);

}  // namespace mayfly::store
