#include "store/reader.h"

#include "store/format.h"

namespace mayfly::store {
namespace {

// The first key after all keys with `prefix`; empty: there is none.
std::string after_prefix(std::string_view prefix) {
  std::string bound(prefix);
  while (!bound.empty() && static_cast<unsigned char>(bound.back()) == 0xff) bound.pop_back();
  if (!bound.empty()) bound.back() = static_cast<char>(bound.back() + 1);
  return bound;
}

Result<Row> row_of(const Statement& at) {
  Row row{std::string(at.bytes(0)), std::string(at.bytes(3)), static_cast<Revision>(at.integer(1))};
  if (record_sum(row.key, row.revision, row.value) != at.integer(2)) {
    return fail(ErrorKind::corrupt, "the record '" + row.key + "' fails its checksum");
  }
  return row;
}

// Each query walks the one index (or the table) that is in its order. In seq order `+` keeps the
// planner from an index that would need a sort.
std::string log_sql(const LogQuery& query) {
  bool by_time = query.order == LogOrder::time;
  std::string_view index = !by_time       ? "NOT INDEXED"
                           : query.stream ? "INDEXED BY entries_by_stream"
                                          : "INDEXED BY entries_by_time";
  std::string sql = fmt::format(
      "SELECT e.id, e.time_ms, e.sum, e.payload, s.name, e.stream FROM entries e {} "
      "CROSS JOIN streams s ON s.id = e.stream WHERE ",
      index);
  sql += by_time ? "e.log = ? " : "e.id >= ? AND e.id <= ? ";
  if (query.stream) sql += by_time ? "AND e.stream = ? " : "AND +e.stream = ? ";
  sql += fmt::format("AND {0} >= ? AND {0} < ? ", by_time ? "e.time_ms" : "+e.time_ms");
  if (by_time && query.place) {
    sql += fmt::format("AND (+e.time_ms, e.id) {} (?, ?) ", query.descending ? "<" : ">");
  }
  std::string_view direction = query.descending ? "DESC" : "ASC";
  sql += by_time ? fmt::format("ORDER BY e.time_ms {0}, e.id {0}", direction)
                 : fmt::format("ORDER BY e.id {}", direction);
  return sql + " LIMIT ?";
}

// The parameters of log_sql, in its order.
void bind_log_query(Statement& find, const LogQuery& query, std::int64_t log, std::int64_t stream) {
  std::int64_t from_ms = query.from_ms;
  std::int64_t to_ms = query.to_ms;
  if (query.order == LogOrder::time) {
    find.bind(log);
    // The place bounds the walk of the index; among equal times the row comparison decides.
    if (query.place && !query.descending) from_ms = std::max(from_ms, query.place->time_ms);
    if (query.place && query.descending && query.place->time_ms < INT64_MAX) {
      to_ms = std::min(to_ms, query.place->time_ms + 1);
    }
  } else {
    bool to_end = !query.descending || query.from_seq == 0;
    find.bind(entry_id(log, query.descending ? 0 : query.from_seq));
    find.bind(entry_id(log, to_end ? max_seq : query.from_seq));
  }
  if (query.stream) find.bind(stream);
  find.bind(from_ms).bind(to_ms);
  if (query.order == LogOrder::time && query.place) {
    find.bind(query.place->time_ms).bind(entry_id(log, query.place->seq));
  }
  find.bind(static_cast<std::int64_t>(std::min<std::size_t>(query.limit, INT64_MAX)));
}

Result<Entry> entry_of(const Statement& at, std::int64_t log) {
  Entry entry{static_cast<std::uint64_t>(at.integer(0)) & max_seq, std::string(at.bytes(4)),
              at.integer(1), std::string(at.bytes(3))};
  if (entry_sum(log, entry.seq, at.integer(5), entry.time_ms, entry.payload) != at.integer(2)) {
    return fail(ErrorKind::corrupt, fmt::format("log entry {} fails its checksum", entry.seq));
  }
  return entry;
}

}  // namespace

Result<> Reader::open(const std::filesystem::path& file) {
  TRY(db_.open(file, true));
  return db_.exec("PRAGMA cache_size = -16384");
}

Result<std::optional<Row>> Reader::get(std::string_view key) {
  auto find = db_.prepare("SELECT key, revision, sum, value FROM records WHERE key = ?");
  TRY_ASSIGN(bool there, find.bind(key).step());
  if (!there) return std::nullopt;
  TRY_ASSIGN(auto row, row_of(find));
  return row;
}

Result<std::vector<Row>> Reader::scan(std::string_view prefix, std::string_view after,
                                      std::size_t limit) {
  // The smallest key after `after` is `after` with a zero byte.
  std::string from(prefix);
  if (after >= prefix) from = std::string(after) + '\0';
  std::string to = after_prefix(prefix);
  auto find = db_.prepare(to.empty() ? "SELECT key, revision, sum, value FROM records "
                                       "WHERE key >= ? ORDER BY key LIMIT ?"
                                     : "SELECT key, revision, sum, value FROM records "
                                       "WHERE key >= ? AND key < ? ORDER BY key LIMIT ?");
  find.bind(from);
  if (!to.empty()) find.bind(to);
  find.bind(static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
  std::vector<Row> rows;
  while (true) {
    TRY_ASSIGN(bool there, find.step());
    if (!there) return rows;
    TRY_ASSIGN(auto row, row_of(find));
    // A prefix of 0xff bytes alone has no upper bound.
    if (row.key.starts_with(prefix)) rows.push_back(std::move(row));
  }
}

// By the index of keys alone: no value is touched.
Result<std::uint64_t> Reader::count(std::string_view prefix, std::string_view after) {
  std::string from(prefix);
  if (after >= prefix) from = std::string(after) + '\0';
  std::string to = after_prefix(prefix);
  auto find = db_.prepare(to.empty() ? "SELECT count(*) FROM records WHERE key >= ?"
                                     : "SELECT count(*) FROM records WHERE key >= ? AND key < ?");
  find.bind(from);
  if (!to.empty()) find.bind(to);
  TRY(find.step());
  return static_cast<std::uint64_t>(find.integer(0));
}

Result<std::vector<Entry>> Reader::read(const LogQuery& query) {
  std::int64_t log = 0;
  std::int64_t stream = 0;
  {
    auto find = db_.prepare("SELECT id FROM logs WHERE name = ?");
    TRY_ASSIGN(bool there, find.bind(query.log).step());
    if (!there) return std::vector<Entry>{};
    log = find.integer(0);
  }
  if (query.stream) {
    auto find = db_.prepare("SELECT id FROM streams WHERE log = ? AND name = ?");
    TRY_ASSIGN(bool there, find.bind(log).bind(*query.stream).step());
    if (!there) return std::vector<Entry>{};
    stream = find.integer(0);
  }
  auto find = db_.prepare(log_sql(query));
  bind_log_query(find, query, log, stream);
  std::vector<Entry> entries;
  std::size_t bytes = 0;
  while (true) {
    TRY_ASSIGN(bool there, find.step());
    if (!there) return entries;
    TRY_ASSIGN(auto entry, entry_of(find, log));
    bytes += entry.payload.size();
    if (!entries.empty() && bytes > query.max_bytes) return entries;
    entries.push_back(std::move(entry));
  }
}

Result<std::uint64_t> Reader::log_bytes(std::string_view log) {
  auto find = db_.prepare("SELECT bytes FROM logs WHERE name = ?");
  TRY_ASSIGN(bool there, find.bind(log).step());
  return there ? static_cast<std::uint64_t>(find.integer(0)) : 0;
}

}  // namespace mayfly::store
