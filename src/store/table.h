// Table: the records of one kind, by key, loaded at start and written through to the store.
//
// T has key(), encode(T) → std::string and decode(std::string_view, T&) → Result<>; Failure is the
// error of whoever changes records. Records are shared and never changed: a change puts another in
// their place. Acknowledged: a change returns after the row is synced. Loop thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "io/park.h"
#include "store/store.h"

namespace mayfly::store {

template <class T, class Failure>
class Table {
 public:
  using Row = std::shared_ptr<const T>;
  using Outcome = std::expected<Row, Failure>;
  // From what is there (nullptr: nothing) to what shall be; nullptr deletes, and the same row
  // changes nothing. Runs when no other change of that key is under way.
  using Change = std::function<Outcome(const Row& now)>;
  // Stores the row together with something else; empty: by itself.
  using Commit = std::function<io::Task<Result<>>(Batch batch)>;

  // `failure` says that the store has failed.
  Table(io::Loop& loop, Store& store, std::string prefix,
        std::function<Failure(const Error&)> failure)
      : store_(store), prefix_(std::move(prefix)), failure_(std::move(failure)), changed_(loop) {}

  // Called after each change, and for each row that is loaded.
  std::function<void(const Row& before, const Row& after)> on_change;

  Result<> load() {
    constexpr std::size_t page = 256;
    std::string after;
    while (true) {
      TRY_ASSIGN(auto rows, store_.scan(prefix_, after, page));
      for (const auto& row : rows) {
        auto read = std::make_shared<T>();
        TRY(decode(row.value, *read));
        apply(row.key.substr(prefix_.size()), read);
      }
      if (rows.size() < page) return {};
      after = rows.back().key;
    }
  }

  Row find(std::string_view key) const {
    auto found = rows_.find(key);
    return found == rows_.end() ? nullptr : found->second;
  }
  // Those whose keys begin with `prefix`, in their order, behind `after`.
  std::vector<Row> list(std::string_view prefix, std::string_view after, std::size_t most) const {
    std::vector<Row> out;
    for (auto at = rows_.lower_bound(std::max(prefix, after));
         at != rows_.end() && at->first.starts_with(prefix) && out.size() < most; ++at) {
      if (at->first > after) out.push_back(at->second);
    }
    return out;
  }
  std::size_t count(std::string_view prefix) const {
    std::size_t out = 0;
    for (auto at = rows_.lower_bound(prefix); at != rows_.end() && at->first.starts_with(prefix);
         ++at) {
      ++out;
    }
    return out;
  }
  const std::map<std::string, Row, std::less<>>& all() const { return rows_; }

  io::Task<Outcome> change(std::string key, Change change, Commit commit = {}) {
    // In the order of asking: nobody who changes a row again and again keeps others out.
    auto ticket = ++last_ticket_;
    turns_[key].push_back(ticket);
    while (turns_[key].front() != ticket) co_await changed_.park();
    Row now = find(key);
    auto wanted = change(now);
    if (!wanted || *wanted == now) {
      leave(key);
      co_return wanted;
    }
    Batch batch;
    if (*wanted) {
      batch.puts.push_back({prefix_ + key, encode(**wanted)});
    } else {
      batch.deletes.push_back(prefix_ + key);
    }
    Result<> done;
    if (commit) {
      done = co_await commit(std::move(batch));
    } else if (auto stored = co_await store_.commit(std::move(batch)); !stored) {
      done = std::unexpected(std::move(stored.error()));
    }
    if (done) apply(key, *wanted);
    leave(key);
    if (!done) co_return std::unexpected(failure_(done.error()));
    co_return wanted;
  }

 private:
  void leave(const std::string& key) {
    auto turns = turns_.find(key);
    turns->second.pop_front();
    if (turns->second.empty()) turns_.erase(turns);
    changed_.wake_all();
  }
  void apply(const std::string& key, const Row& row) {
    Row before = find(key);
    if (row) {
      rows_[key] = row;
    } else {
      rows_.erase(key);
    }
    if (on_change) on_change(before, row);
  }

  Store& store_;
  std::string prefix_;
  std::function<Failure(const Error&)> failure_;
  std::map<std::string, Row, std::less<>> rows_;
  std::map<std::string, std::deque<std::uint64_t>, std::less<>> turns_;  // under way and waiting
  std::uint64_t last_ticket_ = 0;
  io::ParkingLot changed_;
};

}  // namespace mayfly::store
