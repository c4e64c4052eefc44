#include "services/lambda/bounds.h"

#include <algorithm>
#include <limits>

#include "base/limits.h"
#include "invoke/templates.h"
#include "services/lambda/managed.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

constexpr Bounds strict{.sync_payload_bytes = limits::invoke_sync_payload_bytes,
                        .async_payload_bytes = limits::invoke_async_payload_bytes,
                        .unzipped_bytes = limits::package_unzipped_bytes,
                        .environment_bytes = limits::environment_bytes,
                        .variable_bytes = limits::environment_bytes,
                        .layers = limits::layers_per_function,
                        .timeout_seconds = limits::timeout_max_seconds,
                        .memory_mb = limits::memory_max_mb,
                        .tmp_mb = limits::tmp_max_mb};

Bounds of_this_machine() {
  // /tmp is in memory, too.
  int memory_mb = static_cast<int>(std::min<std::uint64_t>(
      invoke::machine_memory_bytes() / limits::mib, std::numeric_limits<int>::max()));
  return {.sync_payload_bytes = limits::unbound_sync_payload_bytes,
          .async_payload_bytes = limits::unbound_async_payload_bytes,
          .unzipped_bytes = limits::unbound_unzipped_bytes,
          .environment_bytes = limits::unbound_environment_bytes,
          .variable_bytes = limits::unbound_variable_bytes,
          .layers = limits::unbound_layers_per_function,
          .timeout_seconds = limits::unbound_timeout_max_seconds,
          .memory_mb = std::max(memory_mb, limits::memory_min_mb),
          .tmp_mb = std::max(memory_mb, limits::tmp_min_mb)};
}

ApiResult<void> check_range(int value, int least, int most, std::string_view member) {
  if (value >= least && value <= most) return {};
  bool low = value < least;
  return refuse(constraint(std::to_string(value), member,
                           fmt::format("Member must have value {} than or equal to {}",
                                       low ? "greater" : "less", low ? least : most)));
}

ApiResult<void> check_environment(const Variables& environment, const Bounds& bounds) {
  std::string measured = "{";
  bool long_one = false;
  for (const auto& [key, value] : environment) {
    if (measured.size() > 1) measured += ",";
    measured += json_quoted(key) + ":" + json_quoted(value);
    long_one |= key.size() + value.size() + 1 > bounds.variable_bytes;
  }
  measured += "}";
  if (measured.size() <= bounds.environment_bytes && !long_one) return {};
  std::string text(environment_text);
  if (&bounds == &bounds_of(false)) {
    text += fmt::format("exceeded the 4KB limit. String measured: {}", measured);
  } else {
    text += fmt::format("exceed what a process can be given: {} bytes in sum, {} bytes each.",
                        bounds.environment_bytes, bounds.variable_bytes);
  }
  return refuse(invalid(text));
}

}  // namespace

bool is_unbound(const Variables& environment) {
  auto found = environment.find("MAYFLY_UNBOUND");
  return found != environment.end() && found->second == "on";
}

const Bounds& bounds_of(bool unbound) {
  static const Bounds machine = of_this_machine();
  return unbound ? machine : strict;
}

ApiResult<void> check_bounds(const functions::Version& version) {
  const Bounds& most = bounds_of(version);
  // Those on a capacity provider have more.
  int timeout = is_managed(version)
                    ? std::max(most.timeout_seconds, limits::managed_timeout_max_seconds)
                    : most.timeout_seconds;
  int memory = is_managed(version) ? std::max(most.memory_mb, limits::managed_memory_max_mb)
                                   : most.memory_mb;
  auto fits = check_range(version.timeout_seconds, 1, timeout, "timeout");
  if (fits) fits = check_range(version.memory_mb, limits::memory_min_mb, memory, "memorySize");
  if (fits) {
    fits = check_range(version.tmp_mb, limits::tmp_min_mb, most.tmp_mb, "ephemeralStorage.size");
  }
  if (fits) fits = check_environment(version.environment, most);
  return fits;
}

ApiResult<void> check_unzipped(const functions::Version& version) {
  std::uint64_t most = bounds_of(version).unzipped_bytes;
  std::uint64_t layers = 0;
  for (const auto& layer : version.layers) layers += layer.package.unzipped_bytes;
  if (layers >= most) {
    return refuse(
        invalid(fmt::format("Layers consume more than the available size of {} bytes", most)));
  }
  std::uint64_t total = layers + version.package.unzipped_bytes;
  if (total < most) return {};
  return refuse(
      invalid(fmt::format("Function code combined with layers exceeds the maximum allowed "
                          "size of {} bytes. The actual size is {} bytes.",
                          most, total)));
}

}  // namespace mayfly::lambda
