// A thin edge around SQLite: a connection with cached statements, errors as values.
//
// Threads: one connection belongs to one thread (opened without SQLite's own mutex).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace mayfly::store {

class Sqlite;

// A prepared statement in use: binds in order, steps, and is reset when it leaves scope, so that
// no read transaction outlives it. Bound text must live until then.
class Statement {
 public:
  Statement(Sqlite& db, sqlite3_stmt* raw) : db_(db), raw_(raw) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  Statement& bind(std::int64_t value);
  Statement& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
  Statement& bind(std::string_view bytes);

  // true: a row is there; false: done.
  Result<bool> step();
  // Runs a statement that answers no rows.
  Result<> run();
  std::int64_t integer(int column) const;
  std::string_view bytes(int column) const;  // until the next step

 private:
  Sqlite& db_;
  sqlite3_stmt* raw_;
  int next_ = 1;
};

class Sqlite {
 public:
  Sqlite() = default;
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;
  ~Sqlite();

  Result<> open(const std::filesystem::path& file, bool read_only);
  Result<> exec(const char* sql);
  Result<std::int64_t> integer(std::string_view sql);
  // Prepared once per text. A text that SQLite refuses is a defect; it ends in an error at step().
  Statement prepare(std::string_view sql);
  std::int64_t changes() const;
  bool in_transaction() const;
  // Copies the log into the database; answers the pages that the log held.
  Result<int> checkpoint(bool truncate);
  // Pages in the write-ahead log after the last commit.
  int wal_pages() const { return wal_pages_; }
  // The error of a result code, with the connection's message.
  std::unexpected<Error> error(int code) const;
  // True after the disk refused a sync: what it holds is unknown until the file is opened anew.
  bool sync_failed() const { return sync_failed_; }

 private:
  friend class Statement;
  sqlite3* raw_ = nullptr;
  std::string name_;
  int wal_pages_ = 0;
  mutable bool sync_failed_ = false;
  std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

}  // namespace mayfly::store
