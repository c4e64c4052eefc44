#include "services/s3/listing.h"

#include <algorithm>

namespace mayfly::services::s3 {

namespace {

// Greater than whatever follows in UTF-8.
constexpr char behind_all = '\xff';
constexpr std::size_t page_first = 32;
constexpr std::size_t page_most = 1024;

// The key up to the delimiter, if it has one behind the prefix.
std::string group_of(const std::string& key, const ListQuery& query) {
  if (query.delimiter.empty()) return {};
  auto at = key.find(query.delimiter, query.prefix.size());
  return at == key.npos ? std::string() : key.substr(0, at + query.delimiter.size());
}

}  // namespace

Result<Listed> list_keys(store::Store& store, const ListQuery& query) {
  Listed out;
  std::size_t page = page_first;
  std::string rows = query.rows + query.prefix;
  std::string after = query.after.empty() ? std::string() : query.rows + query.after;
  if (query.after_group) after += behind_all;
  if (query.most == 0) return out;
  while (true) {
    TRY_ASSIGN(auto found, store.scan(rows, after, page));
    bool jumped = false;
    for (auto& row : found) {
      after = row.key;
      auto key = row.key.substr(query.rows.size());
      if (out.rows.size() + out.groups.size() == query.most) {
        out.more = true;
        return out;
      }
      auto group = group_of(key, query);
      out.last_is_group = !group.empty();
      out.last = out.last_is_group ? group : key;
      if (out.last_is_group) {
        after = query.rows + group + behind_all;
        out.groups.push_back(std::move(group));
        jumped = true;
        break;
      }
      row.key = std::move(key);
      out.rows.push_back(std::move(row));
    }
    if (!jumped && found.size() < page) return out;
    page = jumped ? page_first : std::min(page * 2, page_most);
  }
}

}  // namespace mayfly::services::s3
