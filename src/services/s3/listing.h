// Lists of keys: what begins with a prefix, with what lies behind a delimiter rolled up, from the
// store's own order (UTF-8 bytes). What is rolled up is passed over, not read.
#pragma once

#include <string>
#include <vector>

#include "services/s3/object.h"
#include "store/store.h"

namespace mayfly::services::s3 {

struct ListQuery {
  std::string rows;  // what the keys of the rows begin with: "o/BUCKET/"
  std::string prefix;
  std::string delimiter;     // empty: none
  std::string after;         // strictly behind this key …
  bool after_group = false;  // … or behind all that begins with it
  std::size_t most = 0;
};

struct Listed {
  std::vector<store::Row> rows;     // keys without ListQuery::rows
  std::vector<std::string> groups;  // common prefixes
  bool more = false;
  std::string last;  // where to go on: ListQuery::after
  bool last_is_group = false;
};

Result<Listed> list_keys(store::Store& store, const ListQuery& query);

}  // namespace mayfly::services::s3
