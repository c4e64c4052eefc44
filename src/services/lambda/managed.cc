#include "services/lambda/managed.h"

#include <charconv>

#include "base/limits.h"
#include "services/lambda/runnable.h"

namespace mayfly::lambda {

namespace {

// Runtimes by their identifiers: the first that may run on a capacity provider, and how many calls
// at one time each processor gets by default. Those of provided are the guide's for Rust.
struct Supported {
  std::string_view prefix;
  int least;
  int per_vcpu;
};
constexpr Supported supported[] = {
    {"nodejs", 22, 64}, {"python3.", 13, 16}, {"java", 21, 32}, {"provided.al", 2023, 8}};
// GiB for each processor, where the function does not say.
constexpr double default_ratio = 4;

const Supported* find_language(std::string_view runtime) {
  for (const auto& one : supported) {
    if (runtime.starts_with(one.prefix)) return &one;
  }
  return nullptr;
}

bool is_supported(std::string_view runtime) {
  const auto* language = find_language(runtime);
  if (language == nullptr) return false;
  auto text = runtime.substr(language->prefix.size());
  int version = 0;
  std::from_chars(text.data(), text.data() + text.size(), version);
  return version >= language->least;
}

int vcpus_of(const functions::Version& version) {
  double ratio = version.memory_gib_per_vcpu > 0 ? version.memory_gib_per_vcpu : default_ratio;
  return std::max(1, static_cast<int>(version.memory_mb / 1024.0 / ratio));
}

ApiResult<std::optional<int>> by_variable(const functions::Version& version) {
  auto found = version.environment.find(std::string(max_concurrency_variable));
  if (found == version.environment.end()) return std::optional<int>();
  const auto& text = found->second;
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 ||
      value > limits::max_concurrency_per_environment) {
    return refuse(
        invalid(fmt::format("{} must be a number from 1 to {}, not {}.", max_concurrency_variable,
                            limits::max_concurrency_per_environment, text)));
  }
  // Of an image its own program says how many events it asks for.
  if (value > 1 && !version.is_image() && find_language(version.runtime) == nullptr) {
    return refuse(
        invalid(fmt::format("{} cannot run several calls in one environment.", version.runtime)));
  }
  return std::optional<int>(value);
}

api::ApiError not_with_managed(std::string_view what) {
  return invalid(fmt::format("{} is not supported for functions on a capacity provider.", what));
}

}  // namespace

functions::Version* published_of(functions::Function& function, const std::string& qualifier) {
  if (qualifier == latest_published) {
    return function.latest_published ? &*function.latest_published : nullptr;
  }
  auto found = qualifier.size() < 10 ? function.versions.find(std::stoi(qualifier))
                                     : function.versions.end();
  return found == function.versions.end() ? nullptr : &found->second;
}

ApiResult<void> apply_capacity(const model::CapacityProviderConfig& given,
                               functions::Version& version) {
  auto config = given.lambda_managed_instances_capacity_provider_config();
  if (!config) return {};
  version.capacity_provider_arn = config->capacity_provider_arn().value_or("");
  version.max_concurrency =
      static_cast<int>(config->per_execution_environment_max_concurrency().value_or(0));
  version.memory_gib_per_vcpu = config->execution_environment_memory_gi_b_per_v_cpu().value_or(0);
  return {};
}

ApiResult<void> settle_managed(std::optional<std::string_view> log_format,
                               functions::Version& version) {
  auto variable = by_variable(version);
  if (!variable) return refuse(variable.error());
  if (variable->value_or(1) > 1 && version.snap_start) {
    return refuse(invalid("SnapStart is not supported with several calls in one environment."));
  }
  if (is_exactly_once(version) && (is_managed(version) || variable->value_or(1) > 1)) {
    return refuse(
        invalid("MAYFLY_EXACTLY_ONCE needs environments that run one call at a time: of several, "
                "nobody knows which one sends."));
  }
  if (!is_managed(version)) return {};
  if (*variable) return refuse(not_with_managed(max_concurrency_variable));
  if (!is_supported(version.runtime)) {
    return refuse(not_with_managed("The runtime " + version.runtime));
  }
  if (version.snap_start) return refuse(not_with_managed("SnapStart"));
  if (version.per_tenant) return refuse(not_with_managed("Tenant isolation"));
  if (version.memory_mb < limits::managed_memory_min_mb) {
    return refuse(invalid(
        fmt::format("MemorySize of a function on a capacity provider must be at least {} MB.",
                    limits::managed_memory_min_mb)));
  }
  if (version.memory_gib_per_vcpu * 1024 > version.memory_mb) {
    return refuse(
        invalid("ExecutionEnvironmentMemoryGiBPerVCpu is more than the function's "
                "memory: an environment has at least one vCPU."));
  }
  if (log_format.value_or("JSON") != "JSON") return refuse(not_with_managed("LogFormat Text"));
  version.log_format = functions::LogFormat::json;
  if (version.application_log_level.empty()) version.application_log_level = "INFO";
  if (version.system_log_level.empty()) version.system_log_level = "INFO";
  return {};
}

std::optional<model::CapacityProviderConfig> describe_capacity(const functions::Version& version) {
  if (!is_managed(version)) return std::nullopt;
  model::LambdaManagedInstancesCapacityProviderConfig config;
  config.set_capacity_provider_arn(version.capacity_provider_arn);
  config.set_per_execution_environment_max_concurrency(max_concurrency_of(version));
  bool given = version.memory_gib_per_vcpu > 0;
  config.set_execution_environment_memory_gi_b_per_v_cpu(given ? version.memory_gib_per_vcpu
                                                               : default_ratio);
  model::CapacityProviderConfig out;
  out.set_lambda_managed_instances_capacity_provider_config(config);
  return out;
}

int max_concurrency_of(const functions::Version& version) {
  if (!is_managed(version)) {
    auto variable = by_variable(version);
    return variable ? variable->value_or(1) : 1;
  }
  if (version.max_concurrency > 0) return version.max_concurrency;
  const auto* language = find_language(version.runtime);
  int wanted = (language ? language->per_vcpu : 1) * vcpus_of(version);
  return std::min(wanted, limits::max_concurrency_per_environment);
}

int cpu_millis_of(const functions::Version& version) {
  return is_managed(version) ? vcpus_of(version) * 1000 : 0;
}

}  // namespace mayfly::lambda
