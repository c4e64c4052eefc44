#include "store/format.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>

namespace mayfly::store {
namespace {

constexpr const char* tables = R"sql(
  BEGIN IMMEDIATE;
  CREATE TABLE records (key BLOB NOT NULL UNIQUE, revision INTEGER NOT NULL,
                        sum INTEGER NOT NULL, value BLOB NOT NULL) STRICT;
  CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE,
                     next_seq INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
  CREATE TABLE streams (id INTEGER PRIMARY KEY AUTOINCREMENT, log INTEGER NOT NULL,
                        name BLOB NOT NULL, bytes INTEGER NOT NULL, UNIQUE (log, name)) STRICT;
  CREATE TABLE entries (id INTEGER PRIMARY KEY, log INTEGER NOT NULL, stream INTEGER NOT NULL,
                        time_ms INTEGER NOT NULL, sum INTEGER NOT NULL,
                        payload BLOB NOT NULL) STRICT;
  CREATE INDEX entries_by_time ON entries (log, time_ms);
  CREATE INDEX entries_by_stream ON entries (log, stream, time_ms);
  CREATE TABLE garbage (log INTEGER NOT NULL, stream INTEGER NOT NULL,
                        PRIMARY KEY (log, stream)) STRICT, WITHOUT ROWID;
  CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
  INSERT INTO counter VALUES (1, 0);
)sql";

std::uint32_t crc(std::uint32_t so_far, std::string_view bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(so_far, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

template <class... Integers>
std::uint32_t crc_integers(Integers... values) {
  std::array<std::uint64_t, sizeof...(values)> words{static_cast<std::uint64_t>(values)...};
  return crc(0, {reinterpret_cast<const char*>(words.data()), sizeof words});
}

Result<> create(Sqlite& db) {
  // Both take effect only while the file is empty.
  TRY(db.exec("PRAGMA auto_vacuum = INCREMENTAL"));
  TRY(db.exec("PRAGMA journal_mode = WAL"));
  TRY(db.exec(tables));
  TRY(db.exec(fmt::format("PRAGMA application_id = {}", application_id).c_str()));
  TRY(db.exec(fmt::format("PRAGMA user_version = {}", format_version).c_str()));
  return db.exec("COMMIT");
}

}  // namespace

Result<> open_format(Sqlite& db, const std::filesystem::path& file) {
  TRY(db.open(file, false));
  TRY_ASSIGN(auto identity, db.integer("PRAGMA application_id"));
  TRY_ASSIGN(auto version, db.integer("PRAGMA user_version"));
  // The schema version is 0 until the first table is there: an empty file, or one whose very first
  // commit never came to its end.
  TRY_ASSIGN(auto schema, db.integer("PRAGMA schema_version"));
  if (schema == 0 && identity == 0) {
    TRY(create(db));
  } else if (identity != application_id) {
    return fail(ErrorKind::corrupt, file.string() + " is not a database of this program");
  } else if (version > format_version) {
    return fail(ErrorKind::invalid,
                fmt::format("{} has format {}, and this program knows formats up to {}: use a "
                            "newer version of the program, or another data directory",
                            file.string(), version, format_version));
  } else if (version < format_version) {
    return fail(ErrorKind::invalid,
                fmt::format("{} has format {}, which this program cannot upgrade to {}",
                            file.string(), version, format_version));
  }
  TRY(db.exec("PRAGMA synchronous = FULL"));
  TRY(db.exec("PRAGMA journal_size_limit = 16777216"));
  TRY(db.exec("PRAGMA cache_size = -16384"));
  return {};
}

std::int64_t record_sum(std::string_view key, std::uint64_t revision, std::string_view value) {
  return crc(crc(crc_integers(key.size(), revision), key), value);
}

std::int64_t entry_sum(std::int64_t log, std::uint64_t seq, std::int64_t stream,
                       std::int64_t time_ms, std::string_view payload) {
  return crc(crc_integers(log, seq, stream, time_ms), payload);
}

}  // namespace mayfly::store
