#include "store/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>

#include "io/fd.h"

namespace mayfly::store {

Statement::~Statement() {
  if (raw_ == nullptr) return;
  sqlite3_reset(raw_);
  sqlite3_clear_bindings(raw_);
}

Statement& Statement::bind(std::int64_t value) {
  sqlite3_bind_int64(raw_, next_++, value);
  return *this;
}

Statement& Statement::bind(std::string_view bytes) {
  // A null pointer would bind NULL instead of an empty value.
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  sqlite3_bind_blob64(raw_, next_++, data, bytes.size(), SQLITE_STATIC);
  return *this;
}

Result<bool> Statement::step() {
  int code = raw_ == nullptr ? SQLITE_MISUSE : sqlite3_step(raw_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return db_.error(code);
}

Result<> Statement::run() {
  TRY(step());
  return {};
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(raw_, column); }

std::string_view Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(raw_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(raw_, column))};
}

Sqlite::~Sqlite() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(raw_);
}

Result<> Sqlite::open(const std::filesystem::path& file, bool read_only) {
  name_ = file.string();
  // Its own mode would be 0644, and the log beside it takes the file's. Exclusively: opening and
  // closing a file that is in use would drop the process's locks on it.
  if (!read_only) io::Fd(::open(name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  int code = sqlite3_open_v2(name_.c_str(), &raw_, flags, nullptr);
  if (code != SQLITE_OK) return error(code);
  sqlite3_busy_timeout(raw_, 10'000);
  // A hook of ours also takes the place of automatic checkpoints: the writer makes them itself,
  // between groups (writer.cc).
  sqlite3_wal_hook(
      raw_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Sqlite*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  return {};
}

Result<> Sqlite::exec(const char* sql) {
  int code = sqlite3_exec(raw_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

Result<std::int64_t> Sqlite::integer(std::string_view sql) {
  auto statement = prepare(sql);
  TRY_ASSIGN(bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Statement Sqlite::prepare(std::string_view sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    sqlite3_stmt* raw = nullptr;
    int code = sqlite3_prepare_v3(raw_, sql.data(), static_cast<int>(sql.size()),
                                  SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
    // Not kept: the reason may pass (a locked schema, no memory).
    if (code != SQLITE_OK) return {*this, nullptr};
    found = statements_.emplace(sql, raw).first;
  }
  return {*this, found->second};
}

std::int64_t Sqlite::changes() const { return sqlite3_changes64(raw_); }

bool Sqlite::in_transaction() const { return sqlite3_get_autocommit(raw_) == 0; }

Result<int> Sqlite::checkpoint(bool truncate) {
  int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  int pages = 0;
  int code = sqlite3_wal_checkpoint_v2(raw_, nullptr, mode, &pages, nullptr);
  if (code != SQLITE_OK) return error(code);
  wal_pages_ = 0;
  return pages;
}

std::unexpected<Error> Sqlite::error(int code) const {
  std::string text = name_ + ": " + (raw_ ? sqlite3_errmsg(raw_) : sqlite3_errstr(code));
  if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) sync_failed_ = true;
  switch (code & 0xff) {
    case SQLITE_FULL: return fail(ErrorKind::unavailable, "no room on the disk: " + text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return fail(ErrorKind::corrupt, text);
    case SQLITE_TOOBIG: return fail(ErrorKind::too_large, text);
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN: return fail(ErrorKind::unavailable, text);
    default: return fail(ErrorKind::internal, text);
  }
}

}  // namespace mayfly::store
