// Records: resources that are kept beside functions and belong to none: code signing
// configurations, capacity providers. Those of all accounts and regions live in memory (loaded
// once) and are written through to the store, as the registry's own, which owns this.
//
// Acknowledged: a mutating call returns after its record is synced. Threads: loop. Pointers are
// valid until the next suspension point.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "functions/codec.h"
#include "functions/model.h"
#include "io/park.h"
#include "store/store.h"

namespace mayfly::functions {

// What Records has to know of a T: the prefix of its keys, its id within a scope, its name for
// people, and how it is read back.
template <class T>
struct RecordTraits;

template <class T>
class Records {
  using Traits = RecordTraits<T>;

 public:
  Records(io::Loop& loop, store::Store& store) : store_(store), released_(loop) {}

  // Fails with `corrupt` when a record cannot be read.
  Result<> load() {
    std::string after;
    while (true) {
      TRY_ASSIGN(auto rows, store_.scan(Traits::prefix, after, scan_page));
      for (const auto& row : rows) {
        TRY_ASSIGN(T record, Traits::decode(row.value));
        Scope scope = record.scope;
        std::string id = Traits::id(record);
        entries_[scope].insert_or_assign(id, Entry{std::move(record), row.revision});
      }
      if (rows.size() < scan_page) return {};
      after = rows.back().key;
    }
  }

  const T* find(const Scope& scope, std::string_view id) const {
    auto records = entries_.find(scope);
    if (records == entries_.end()) return nullptr;
    auto found = records->second.find(id);
    return found == records->second.end() ? nullptr : &found->second.record;
  }
  // All of a scope by their ids.
  std::vector<const T*> list(const Scope& scope) const {
    std::vector<const T*> out;
    auto records = entries_.find(scope);
    if (records == entries_.end()) return out;
    for (const auto& [id, entry] : records->second) out.push_back(&entry.record);
    return out;
  }

  // Writes one that is not there yet (`already_exists`).
  io::Task<Result<>> create(T record) {
    Turn mine = co_await turn();
    std::string id = Traits::id(record);
    std::string key = key_of(record.scope, id);
    if (find(record.scope, id)) {
      co_return fail(ErrorKind::already_exists, fmt::format("there is a {} {}", Traits::what, id));
    }
    store::Batch batch;
    batch.expects.push_back({key, 0});
    batch.puts.push_back({key, encode(record)});
    CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
    Scope scope = record.scope;
    entries_[scope].insert_or_assign(id, Entry{std::move(record), revision});
    co_return Result<>{};
  }

  // Applies `change` to a copy, writes, swaps in. `not_found`, and what `change` fails with.
  io::Task<Result<>> update(Scope scope, std::string id, std::function<Result<>(T&)> change) {
    Turn mine = co_await turn();
    const Entry* entry = find_entry(scope, id);
    if (!entry) co_return fail(ErrorKind::not_found, fmt::format("no {} {}", Traits::what, id));
    T after = entry->record;
    CO_TRY(change(after));
    std::string key = key_of(scope, id);
    store::Batch batch;
    batch.expects.push_back({key, entry->revision});
    batch.puts.push_back({key, encode(after)});
    CO_TRY_ASSIGN(auto revision, co_await store_.commit(std::move(batch)));
    entries_[scope].insert_or_assign(id, Entry{std::move(after), revision});
    co_return Result<>{};
  }

  // `conflict` while a Hold is on it.
  io::Task<Result<>> remove(Scope scope, std::string id) {
    Turn mine = co_await turn();
    Entry* entry = find_entry(scope, id);
    if (!entry) co_return fail(ErrorKind::not_found, fmt::format("no {} {}", Traits::what, id));
    if (held_.contains({scope, id})) {
      co_return fail(ErrorKind::conflict, "a function is being given it");
    }
    // Not to be found from here on, so that no function is given it while it is taken off the disk.
    Entry old = std::move(*entry);
    entries_[scope].erase(id);
    std::string key = key_of(scope, id);
    store::Batch batch;
    batch.expects.push_back({key, old.revision});
    batch.deletes.push_back(key);
    auto committed = co_await store_.commit(std::move(batch));
    if (committed) co_return Result<>{};
    entries_[scope].insert_or_assign(id, std::move(old));
    co_return std::unexpected(std::move(committed).error());
  }

  // While a function is being written that names a record, it is not removed.
  class Hold {
   public:
    Hold() = default;
    Hold(Records& owner, const Scope& scope, std::string_view id)
        : owner_(&owner), at_(owner.held_.emplace(scope, id)) {}
    Hold(Hold&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), at_(other.at_) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(at_, other.at_);
      return *this;
    }
    ~Hold() {
      if (owner_) owner_->held_.erase(at_);
    }

   private:
    Records* owner_ = nullptr;
    std::multiset<std::pair<Scope, std::string>>::iterator at_{};
  };

 private:
  static constexpr std::size_t scan_page = 1000;
  struct Entry {
    T record;
    store::Revision revision = 0;
  };
  // One writer at a time: changes are rare.
  class Turn {
   public:
    explicit Turn(Records& owner) : owner_(&owner) { owner.writing_ = true; }
    Turn(Turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    ~Turn() {
      if (!owner_) return;
      owner_->writing_ = false;
      owner_->released_.wake_all();
    }

   private:
    Records* owner_;
  };
  io::Task<Turn> turn() {
    while (writing_) co_await released_.park();
    co_return Turn(*this);
  }
  Entry* find_entry(const Scope& scope, std::string_view id) {
    auto records = entries_.find(scope);
    if (records == entries_.end()) return nullptr;
    auto found = records->second.find(id);
    return found == records->second.end() ? nullptr : &found->second;
  }
  static std::string key_of(const Scope& scope, std::string_view id) {
    return fmt::format("{}{}/{}/{}", Traits::prefix, scope.account.str(), scope.region.str(), id);
  }

  store::Store& store_;
  io::ParkingLot released_;
  bool writing_ = false;
  std::map<Scope, std::map<std::string, Entry, std::less<>>> entries_;
  std::multiset<std::pair<Scope, std::string>> held_;
};

template <>
struct RecordTraits<CodeSigningConfig> {
  static constexpr std::string_view prefix = "csc/";
  static constexpr std::string_view what = "code signing configuration";
  static const std::string& id(const CodeSigningConfig& config) { return config.id; }
  static Result<CodeSigningConfig> decode(std::string_view bytes) {
    return decode_code_signing_config(bytes);
  }
};
using CodeSigningConfigs = Records<CodeSigningConfig>;

template <>
struct RecordTraits<CapacityProvider> {
  static constexpr std::string_view prefix = "cap/";
  static constexpr std::string_view what = "capacity provider";
  static const std::string& id(const CapacityProvider& provider) { return provider.name; }
  static Result<CapacityProvider> decode(std::string_view bytes) {
    return decode_capacity_provider(bytes);
  }
};
using CapacityProviders = Records<CapacityProvider>;

}  // namespace mayfly::functions
