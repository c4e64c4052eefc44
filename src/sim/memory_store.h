// MemoryStore: the test twin of the embedded store: the same semantics (store/conformance_test.cc
// runs on both) without a disk. Commits complete on the loop, never inside the caller's stack.
//
// Threads: loop only. Blobs live in a temporary directory that ends with the object.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "store/sha256.h"
#include "store/store.h"

namespace mayfly::sim {

class MemoryStore final : public store::Store {
 public:
  explicit MemoryStore(io::Loop& loop) : loop_(loop) {}
  ~MemoryStore() override {
    std::error_code ignored;
    if (!blob_dir_.empty()) std::filesystem::remove_all(blob_dir_, ignored);
  }

  // What the next commits answer instead of committing (a full disk, say), until reset.
  std::optional<Error> fail_writes_with;

  Result<std::optional<store::Row>> get(std::string_view key) override {
    auto found = rows_.find(key);
    if (found == rows_.end()) return std::nullopt;
    return store::Row{found->first, found->second.value, found->second.revision};
  }

  Result<std::vector<store::Row>> scan(std::string_view prefix, std::string_view after,
                                       std::size_t limit) override {
    std::vector<store::Row> out;
    auto at = after < prefix ? rows_.lower_bound(prefix) : rows_.upper_bound(after);
    for (; at != rows_.end() && out.size() < limit && at->first.starts_with(prefix); ++at) {
      out.push_back({at->first, at->second.value, at->second.revision});
    }
    return out;
  }

  Result<std::uint64_t> count(std::string_view prefix, std::string_view after) override {
    auto at = after < prefix ? rows_.lower_bound(prefix) : rows_.upper_bound(after);
    std::uint64_t out = 0;
    for (; at != rows_.end() && at->first.starts_with(prefix); ++at) ++out;
    return out;
  }

  io::Task<Result<store::Revision>> commit(store::Batch batch,
                                           store::Durability = store::Durability::synced) override {
    co_await turn();
    if (fail_writes_with) co_return std::unexpected(*fail_writes_with);
    for (const auto& expect : batch.expects) {
      auto found = rows_.find(expect.key);
      store::Revision now = found == rows_.end() ? 0 : found->second.revision;
      if (now != expect.revision) {
        co_return fail(ErrorKind::conflict, "the record '" + expect.key + "' changed meanwhile");
      }
    }
    store::Revision revision = ++revision_;
    for (const auto& key : batch.deletes) {
      rows_.erase(key);
      tell({key, std::nullopt, revision});
    }
    for (auto& put : batch.puts) {
      rows_[put.key] = {put.value, revision};
      tell({put.key, put.value, revision});
    }
    for (auto& append : batch.appends) {
      auto& log = logs_[append.log];
      log.bytes += append.payload.size();
      std::uint64_t seq = log.next_seq++;
      log.entries.emplace(seq, store::Entry{seq, append.stream, append.time_ms, append.payload});
    }
    co_return revision;
  }

  WatchId watch(std::string prefix, std::function<void(const store::Change&)> on_change) override {
    watches_.emplace(next_watch_, std::pair(std::move(prefix), std::move(on_change)));
    return next_watch_++;
  }
  void unwatch(WatchId id) override { watches_.erase(id); }

  Result<std::vector<store::Entry>> read(const store::LogQuery& query) override {
    std::vector<const store::Entry*> found;
    if (auto log = logs_.find(query.log); log != logs_.end()) {
      for (const auto& [seq, entry] : log->second.entries) {
        if (matches(query, entry)) found.push_back(&entry);
      }
    }
    if (query.order == store::LogOrder::time) {
      std::ranges::sort(found, {}, [](const store::Entry* e) { return place_of(*e); });
    }
    if (query.descending) std::ranges::reverse(found);
    std::vector<store::Entry> out;
    std::size_t bytes = 0;
    for (const auto* entry : found) {
      bytes += entry->payload.size();
      if (out.size() >= query.limit || (!out.empty() && bytes > query.max_bytes)) break;
      out.push_back(*entry);
    }
    return out;
  }

  io::Task<Result<std::uint64_t>> trim(std::string log, std::uint64_t before_seq,
                                       std::int64_t before_ms) override {
    co_await turn();
    if (fail_writes_with) co_return std::unexpected(*fail_writes_with);
    co_return erase(
        log, [=](const store::Entry& e) { return e.seq < before_seq || e.time_ms < before_ms; });
  }
  io::Task<Result<>> drop_log(std::string log) override {
    co_await turn();
    if (fail_writes_with) co_return std::unexpected(*fail_writes_with);
    logs_.erase(log);
    co_return Result<>{};
  }
  io::Task<Result<>> drop_stream(std::string log, std::string stream) override {
    co_await turn();
    if (fail_writes_with) co_return std::unexpected(*fail_writes_with);
    erase(log, [&stream](const store::Entry& e) { return e.stream == stream; });
    co_return Result<>{};
  }
  Result<std::uint64_t> log_bytes(std::string_view log) override {
    auto found = logs_.find(log);
    return found == logs_.end() ? 0 : found->second.bytes;
  }

  io::Task<Result<std::string>> put_blob(std::string bytes) override {
    co_await turn();
    if (fail_writes_with) co_return std::unexpected(*fail_writes_with);
    if (blob_dir_.empty()) {
      std::string name = (std::filesystem::temp_directory_path() / "memory-store-XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) co_return fail_errno("mkdtemp", errno);
      blob_dir_ = name;
    }
    std::string name = store::sha256_hex(bytes);
    std::ofstream(blob_dir_ / name, std::ios::binary) << bytes;
    co_return name;
  }
  Result<std::filesystem::path> blob_path(std::string_view sha256) override {
    auto path = blob_dir_ / sha256;
    if (!store::is_sha256_hex(sha256) || blob_dir_.empty() || !std::filesystem::exists(path)) {
      return fail(ErrorKind::not_found, "there is no blob " + std::string(sha256));
    }
    return path;
  }
  io::Task<Result<std::string>> get_blob(std::string sha256) override {
    co_await turn();
    CO_TRY_ASSIGN(auto path, blob_path(sha256));
    std::ifstream in(path, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(in), {});
    if (store::sha256_hex(bytes) != sha256) {
      co_return fail(ErrorKind::corrupt, "the blob " + sha256 + " does not match its name");
    }
    co_return bytes;
  }
  io::Task<Result<>> delete_blob(std::string sha256) override {
    co_await turn();
    if (auto path = blob_path(sha256)) std::filesystem::remove(*path);
    co_return Result<>{};
  }

 private:
  struct Stored {
    std::string value;
    store::Revision revision = 0;
  };
  struct Log {
    std::uint64_t next_seq = 1;
    std::uint64_t bytes = 0;
    std::map<std::uint64_t, store::Entry> entries;
  };

  // Resumes from the loop.
  struct Turn {
    io::Loop& loop;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) const { loop.make_ready(handle); }
    void await_resume() const {}
  };
  Turn turn() { return Turn{loop_}; }

  static store::LogPlace place_of(const store::Entry& e) { return {e.time_ms, e.seq}; }

  static bool matches(const store::LogQuery& query, const store::Entry& e) {
    if (query.stream && *query.stream != e.stream) return false;
    if (e.time_ms < query.from_ms || e.time_ms >= query.to_ms) return false;
    if (query.order == store::LogOrder::time) {
      if (!query.place) return true;
      return query.descending ? place_of(e) < *query.place : place_of(e) > *query.place;
    }
    if (query.descending) return query.from_seq == 0 || e.seq <= query.from_seq;
    return e.seq >= query.from_seq;
  }

  template <class Doomed>
  std::uint64_t erase(const std::string& name, Doomed doomed) {
    auto log = logs_.find(name);
    if (log == logs_.end()) return 0;
    return std::erase_if(log->second.entries, [&](const auto& item) {
      if (!doomed(item.second)) return false;
      log->second.bytes -= item.second.payload.size();
      return true;
    });
  }

  void tell(const store::Change& change) {
    auto watches = watches_;  // a callback may watch and unwatch
    for (const auto& [id, watch] : watches) {
      if (change.key.starts_with(watch.first) && watches_.contains(id)) watch.second(change);
    }
  }

  io::Loop& loop_;
  std::map<std::string, Stored, std::less<>> rows_;
  std::map<std::string, Log, std::less<>> logs_;
  store::Revision revision_ = 0;
  WatchId next_watch_ = 1;
  std::map<WatchId, std::pair<std::string, std::function<void(const store::Change&)>>> watches_;
  std::filesystem::path blob_dir_;
};

}  // namespace mayfly::sim
