// What `mayfly top` shows: the functions of a server by their part of its metrics.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mayfly::cli {

// Sums since the server started, but for what is there now.
struct FunctionLoad {
  std::string account;
  std::string region;
  std::string name;
  double calls = 0;
  double errors = 0;     // calls that came to anything but a success
  double throttles = 0;  // … and calls that never started
  double running = 0;    // now
  double cold_starts = 0;
  double seconds = 0;  // in the handler
  double cpu_seconds = 0;
  double init_seconds = 0;
  double page_faults = 0;
  double bytes_in = 0;
  double bytes_out = 0;
  double memory_bytes = 0;  // of the environment that reported last
};

// Of the Prometheus text that /_mayfly/metrics answers.
std::vector<FunctionLoad> read_loads(std::string_view metrics);
// What `now` has more than `before`; what is there now stays as it is.
std::vector<FunctionLoad> loads_since(const std::vector<FunctionLoad>& before,
                                      std::vector<FunctionLoad> now);
// Largest first: cpu, calls, time, errors, memory, or name (smallest first). `invalid` otherwise.
Result<> sort_loads(std::vector<FunctionLoad>& loads, std::string_view by);

}  // namespace mayfly::cli
