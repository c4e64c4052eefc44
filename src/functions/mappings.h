// Mappings: event source mappings, from what is read to which function. Owned by no dialect.
// Records live in memory (loaded once) and are written through to the store.
//
// Acknowledged: a mutating call returns after its record is synced. Threads: loop. Pointers are
// valid until the next suspension point.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/store.h"

namespace mayfly::functions {

struct Mapping {
  std::string id;  // UUID
  Scope scope;
  FunctionName function;
  std::string qualifier;  // version or alias, or empty
  std::string source_arn;
  int batch_size = 10;
  int window_seconds = 0;
  bool enabled = true;
  bool report_failures = false;
  int max_concurrency = 0;  // 0: not set
  int pollers_min = 0;      // provisioned mode; 0: it is off
  int pollers_max = 0;
  bool count_events = false;              // MetricsConfig: EventCount
  std::vector<std::string> filters = {};  // event patterns, as written
  std::map<std::string, std::string> tags = {};
  std::int64_t modified_ms = 0;
};

class Mappings {
 public:
  explicit Mappings(store::Store& store) : store_(store) {}
  // Fails with `corrupt` when a record cannot be read.
  Result<> load();

  const Mapping* find(const Scope& scope, std::string_view id) const;
  // All, of every scope, by their ids.
  const std::map<std::string, Mapping, std::less<>>& all() const { return mappings_; }
  io::Task<Result<>> put(Mapping mapping);
  io::Task<Result<>> remove(std::string id);

 private:
  store::Store& store_;
  std::map<std::string, Mapping, std::less<>> mappings_;
};

}  // namespace mayfly::functions
