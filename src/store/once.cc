#include "store/once.h"

#include "base/log.h"

namespace mayfly::store {

namespace {

constexpr std::size_t page = 256;

}  // namespace

Result<bool> Once::done(std::string_view id) const {
  TRY_ASSIGN(auto row, store_.get(key_of(id)));
  return row.has_value();
}

Result<std::vector<std::string>> Once::all() const {
  std::vector<std::string> out;
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, store_.scan(prefix_, after, page));
    for (const auto& row : rows) out.push_back(row.key.substr(prefix_.size()));
    if (rows.size() < page) return out;
    after = rows.back().key;
  }
}

io::Task<void> Once::forget(std::vector<std::string> ids) {
  if (ids.empty()) co_return;
  Batch batch;
  for (const auto& id : ids) batch.deletes.push_back(key_of(id));
  auto done = co_await store_.commit(std::move(batch), Durability::buffered);
  if (!done) log::warn("store", "what was done once stays noted: {}", done.error().message);
}

}  // namespace mayfly::store
