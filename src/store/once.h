// Once: which of the things that are asked for again after a crash were done, as rows PREFIX/ID,
// each stored in the commit that does it.
//
// Loop thread; as long as the store.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace mayfly::store {

class Once {
 public:
  // `prefix` without the slash.
  Once(Store& store, std::string prefix) : store_(store), prefix_(std::move(prefix) + "/") {}

  Result<bool> done(std::string_view id) const;
  void note(std::string_view id, Batch& batch) const { batch.puts.push_back({key_of(id), "1"}); }
  Result<std::vector<std::string>> all() const;
  // Without waiting for the disk: what is forgotten too late does no harm.
  io::Task<void> forget(std::vector<std::string> ids);

 private:
  std::string key_of(std::string_view id) const { return prefix_ + std::string(id); }

  Store& store_;
  std::string prefix_;
};

}  // namespace mayfly::store
