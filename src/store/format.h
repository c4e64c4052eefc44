// The database file: its identity, version, tables and checksums.
//
//   records  key → value; `revision` is the whole store's counter at its last put; `sum` covers
//            key, revision and value.
//   logs     one row per log: next seq and payload bytes held.
//   streams  the names of a log's streams and the payload bytes of each.
//   entries  id (log and seq, see entry_id) → stream, time and payload; `sum` covers all of them.
//   An entry whose
//            stream row is gone is garbage: no reader sees it.
//   garbage  logs and streams that were dropped and whose entries still wait to be erased
//            (stream 0: the whole log).
//   counter  one row: the last revision given out.
#pragma once

#include <cstdint>
#include <string_view>

#include "store/sqlite.h"

namespace mayfly::store {

inline constexpr std::int64_t application_id = 0x4d59464c;  // "MYFL"
inline constexpr std::int64_t format_version = 2;

// The row id of an entry: 23 bits of the log's id over 40 bits of the seq, so that the table itself
// is in the order of a log. (A table without row ids would need an overflow page for each payload
// above a quarter page.)
inline constexpr int seq_bits = 40;
inline constexpr std::uint64_t max_seq = (std::uint64_t{1} << seq_bits) - 1;
inline constexpr std::int64_t max_log = (std::int64_t{1} << (63 - seq_bits)) - 1;
constexpr std::int64_t entry_id(std::int64_t log, std::uint64_t seq) {
  return (log << seq_bits) | static_cast<std::int64_t>(seq < max_seq ? seq : max_seq);
}

// Prepares a connection that may write: identity and version checked, tables made when new.
Result<> open_format(Sqlite& db, const std::filesystem::path& file);

std::int64_t record_sum(std::string_view key, std::uint64_t revision, std::string_view value);
std::int64_t entry_sum(std::int64_t log, std::uint64_t seq, std::int64_t stream,
                       std::int64_t time_ms, std::string_view payload);

}  // namespace mayfly::store
