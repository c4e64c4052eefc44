// Reader: answers gets, scans and log reads from a connection of its own. Every call reads the
// newest committed state and leaves no read transaction open, so that checkpoints never wait.
//
// Thread: the loop's.
#pragma once

#include "store/sqlite.h"
#include "store/store.h"

namespace mayfly::store {

class Reader {
 public:
  Result<> open(const std::filesystem::path& file);
  Result<std::optional<Row>> get(std::string_view key);
  Result<std::vector<Row>> scan(std::string_view prefix, std::string_view after, std::size_t limit);
  Result<std::uint64_t> count(std::string_view prefix, std::string_view after);
  Result<std::vector<Entry>> read(const LogQuery& query);
  Result<std::uint64_t> log_bytes(std::string_view log);

 private:
  Sqlite db_;
};

}  // namespace mayfly::store
