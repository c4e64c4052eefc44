// Bounds: what a function may have. Strict, the default: the cloud's quotas. Unbound: what this
// machine bears (docs/reference/limits.md).
//
// A function asks for it with MAYFLY_UNBOUND=on among its environment variables: they travel
// through every tool unchanged, arrive in the same request as the settings they allow, and belong
// to a version. A tag would not: it belongs to the function and comes in a request of its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "functions/model.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

struct Bounds {
  std::size_t sync_payload_bytes = 0;
  std::size_t async_payload_bytes = 0;
  std::uint64_t unzipped_bytes = 0;   // function and layers together
  std::size_t environment_bytes = 0;  // as JSON
  std::size_t variable_bytes = 0;     // one of them
  int layers = 0;
  int timeout_seconds = 0;
  int memory_mb = 0;
  int tmp_mb = 0;
};

inline constexpr std::string_view environment_text =
    "Lambda was unable to configure your environment "
    "variables because the environment variables you have "
    "provided ";

using Variables = std::map<std::string, std::string>;

bool is_unbound(const Variables& environment);
const Bounds& bounds_of(bool unbound);
inline const Bounds& bounds_of(const functions::Version& version) {
  return bounds_of(is_unbound(version.environment));
}

// Times, sizes and variables of a configuration, with the cloud's errors.
ApiResult<void> check_bounds(const functions::Version& version);
// Function and layers share one bound on their unzipped size.
ApiResult<void> check_unzipped(const functions::Version& version);

}  // namespace mayfly::lambda
