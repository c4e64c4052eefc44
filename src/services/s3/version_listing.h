// Lists of versions: of each key the current object, then what is kept, the newest first, with what
// lies behind a delimiter rolled up.
#pragma once

#include <string>
#include <vector>

#include "services/s3/object.h"
#include "store/store.h"

namespace mayfly::services::s3 {

struct VersionQuery {
  std::string bucket;
  std::string prefix;
  std::string delimiter;        // empty: none
  std::string after{};          // behind all versions of this key …
  std::string after_version{};  // … or behind this number of it (versions.h) …
  bool after_group = false;     // … or behind all that begins with it
  std::size_t most = 0;
};

struct VersionsListed {
  struct One {
    Object object;
    bool newest = false;
  };
  std::vector<One> versions;
  std::vector<std::string> groups;  // common prefixes
  bool more = false;
  std::string last;          // where to go on: VersionQuery::after
  std::string last_version;  // its number; empty: it is a group
};

Result<VersionsListed> list_versions(store::Store& store, const VersionQuery& query);

}  // namespace mayfly::services::s3
