// CodeSigningConfigs: code signing configurations of all accounts and regions. Records live in
// memory (loaded once) and are written through to the store, as those of the registry, which owns
// this.
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
#include "functions/model.h"
#include "io/park.h"
#include "store/store.h"

namespace mayfly::functions {

class CodeSigningConfigs {
 public:
  CodeSigningConfigs(io::Loop& loop, store::Store& store) : store_(store), released_(loop) {}
  // Fails with `corrupt` when a record cannot be read.
  Result<> load();

  const CodeSigningConfig* find(const Scope& scope, std::string_view id) const;
  // All of a scope by their ids.
  std::vector<const CodeSigningConfig*> list(const Scope& scope) const;

  // Writes one that is not there yet (`already_exists`).
  io::Task<Result<>> create(CodeSigningConfig config);
  // Applies `change` to a copy, writes, swaps in. `not_found`, and what `change` fails with.
  io::Task<Result<>> update(Scope scope, std::string id,
                            std::function<Result<>(CodeSigningConfig&)> change);
  // `conflict` while a Hold is on it.
  io::Task<Result<>> remove(Scope scope, std::string id);

  // While a function is being written that names a configuration, it is not removed.
  class Hold {
   public:
    Hold() = default;
    Hold(CodeSigningConfigs& owner, const Scope& scope, std::string_view id)
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
    CodeSigningConfigs* owner_ = nullptr;
    std::multiset<std::pair<Scope, std::string>>::iterator at_{};
  };

 private:
  struct Entry {
    CodeSigningConfig config;
    store::Revision revision = 0;
  };
  // One writer at a time: changes are rare.
  class Turn {
   public:
    explicit Turn(CodeSigningConfigs& owner) : owner_(&owner) { owner.writing_ = true; }
    Turn(Turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    ~Turn() {
      if (!owner_) return;
      owner_->writing_ = false;
      owner_->released_.wake_all();
    }

   private:
    CodeSigningConfigs* owner_;
  };
  io::Task<Turn> turn();
  Entry* find_entry(const Scope& scope, std::string_view id);

  store::Store& store_;
  io::ParkingLot released_;
  bool writing_ = false;
  std::map<Scope, std::map<std::string, Entry, std::less<>>> entries_;
  std::multiset<std::pair<Scope, std::string>> held_;
};

}  // namespace mayfly::functions
