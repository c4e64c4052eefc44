#include "services/lambda/config.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/limits.h"
#include "events/switchboard.h"
#include "functions/file_systems.h"
#include "functions/package_store.h"
#include "invoke/environment_spec.h"
#include "services/lambda/bounds.h"
#include "services/lambda/managed.h"
#include "services/lambda/names.h"
#include "services/lambda/runnable.h"
#include "services/lambda/snap_start.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

using functions::Version;

ApiResult<void> apply_environment(const model::Environment& given, Version& version) {
  Variables variables;
  std::string reserved;
  for (const auto& [key, value] : given.variables()) {
    if (invoke::is_reserved_key(key)) {
      reserved += (reserved.empty() ? "" : ", ") + std::string(key);
    }
    variables.emplace(key, value);
  }
  if (!reserved.empty()) {
    return refuse(invalid(fmt::format(
        "{}contains reserved keys that are currently not supported for modification. Reserved keys "
        "used in this request: {}",
        environment_text, reserved)));
  }
  version.environment = std::move(variables);
  return {};
}

ApiResult<void> apply_logging(const model::LoggingConfig& given, Version& version) {
  if (auto format = given.log_format()) {
    version.log_format =
        *format == "JSON" ? functions::LogFormat::json : functions::LogFormat::text;
  }
  bool levels = given.application_log_level() || given.system_log_level();
  if (version.log_format == functions::LogFormat::text) {
    if (levels) {
      return refuse(
          invalid("LogLevel is not supported when LogFormat is set to Text. Remove LogLevel "
                  "from your request or change the LogFormat to JSON and try again."));
    }
    version.application_log_level.clear();
    version.system_log_level.clear();
  } else {
    if (auto level = given.application_log_level()) version.application_log_level = *level;
    if (auto level = given.system_log_level()) version.system_log_level = *level;
    if (version.application_log_level.empty()) version.application_log_level = "INFO";
    if (version.system_log_level.empty()) version.system_log_level = "INFO";
  }
  if (auto group = given.log_group()) version.log_group = *group;
  return {};
}

template <class Request>
void apply_file_systems(const Request& in, Version& version) {
  if (!in.has_file_system_configs()) return;
  version.file_systems.clear();
  for (const auto& given : in.file_system_configs()) {
    version.file_systems.push_back({std::string(given.arn().value_or("")),
                                    std::string(given.local_mount_path().value_or(""))});
  }
}

// Parts of a function that nothing here would honour are refused, not stored in silence; empty
// ones, as deploy tools send them, say nothing.
template <class Request>
ApiResult<void> refuse_unbuilt(const Request& in) {
  if (auto vpc = in.vpc_config();
      vpc && !(vpc->subnet_ids().empty() && vpc->security_group_ids().empty())) {
    return refuse(unbuilt("VpcConfig"));
  }
  if (auto key = in.kms_key_arn(); key && !key->empty()) return refuse(unbuilt("KMSKeyArn"));
  if (auto tracing = in.tracing_config(); tracing && tracing->mode().value_or("") == "Active") {
    return refuse(unbuilt("TracingConfig.Mode Active"));
  }
  if (in.has_durable_config()) return refuse(unbuilt("DurableConfig"));
  return {};
}

// What is given replaces what was there; an empty list goes back to what the image says.
ApiResult<void> apply_image(const model::ImageConfig& given, Version& version) {
  bool says_nothing = given.entry_point().empty() && given.command().empty() &&
                      given.working_directory().value_or("").empty();
  if (!version.is_image()) {
    if (says_nothing) return {};
    return refuse(
        invalid("Please don't provide ImageConfig when the intended function PackageType is Zip."));
  }
  auto words = [](const std::vector<std::string_view>& list) {
    return std::vector<std::string>(list.begin(), list.end());
  };
  version.image_entry_point = words(given.entry_point());
  version.image_command = words(given.command());
  version.image_working_dir = given.working_directory().value_or("");
  return {};
}

ApiResult<void> check_breaker(const Version& version) {
  auto breaker = breaker_of(version);
  if (!breaker) return refuse(invalid(breaker.error().message + "."));
  if (*breaker == nullptr || (*breaker)->fallback.empty()) return {};
  auto scope = events::scope_of_arn(version.role);
  auto fallback = parse_function((*breaker)->fallback, "", {scope.account, {}});
  if (!fallback) return refuse(std::move(fallback.error()));
  if (fallback->name == version.name) {
    return refuse(invalid("A function cannot be the fallback of itself."));
  }
  return {};
}

template <class Request>
ApiResult<void> apply_common(const Request& in, Version& version) {
  bool of_zip = in.runtime() || in.handler() || !in.layers().empty();
  if (version.is_image() && of_zip) {
    return refuse(
        invalid("Please don't provide Handler or Runtime or Layer when the intended function "
                "PackageType is Image."));
  }
  if (auto image = in.image_config()) {
    if (auto applied = apply_image(*image, version); !applied) return applied;
  }
  if (auto snap = in.snap_start();
      version.per_tenant && snap && snap->apply_on().value_or("None") != "None") {
    return refuse(no_tenants_with("SnapStart"));
  }
  if (auto refused = refuse_unbuilt(in); !refused) return refused;
  if (auto capacity = in.capacity_provider_config()) {
    if (auto applied = apply_capacity(*capacity, version); !applied) return applied;
  }
  if (auto value = in.description()) version.description = *value;
  if (auto value = in.runtime()) version.runtime = *value;
  if (auto value = in.handler()) version.handler = *value;
  if (auto value = in.role()) version.role = *value;
  // As they are; check_bounds() follows when it is known what holds for this version.
  auto number = [](std::int64_t value) {
    return static_cast<int>(std::clamp<std::int64_t>(value, 0, std::numeric_limits<int>::max()));
  };
  if (auto value = in.timeout()) version.timeout_seconds = number(*value);
  if (auto value = in.memory_size()) version.memory_mb = number(*value);
  if (auto storage = in.ephemeral_storage()) {
    version.tmp_mb = number(storage->size().value_or(limits::tmp_min_mb));
  }
  if (auto environment = in.environment()) {
    if (auto refused = apply_environment(*environment, version); !refused) return refused;
  }
  if (auto fits = check_bounds(version); !fits) return fits;
  if (auto breaker = check_breaker(version); !breaker) return breaker;
  if (auto snap = in.snap_start()) {
    version.snap_start = snap->apply_on().value_or("None") == "PublishedVersions";
  }
  apply_file_systems(in, version);
  // Without an ARN there is none from now on.
  if (auto dead = in.dead_letter_config()) {
    version.dead_letter_arn = dead->target_arn().value_or("");
  }
  if (auto fits = check_snap_start(version); !fits) return fits;
  std::optional<std::string_view> format;
  if (auto logging = in.logging_config()) {
    format = logging->log_format();
    if (is_managed(version) && !format) version.log_format = functions::LogFormat::json;
    if (auto applied = apply_logging(*logging, version); !applied) return applied;
  }
  return settle_managed(format, version);
}

}  // namespace

std::string_view state_name(functions::State state) {
  switch (state) {
    case functions::State::pending: return "Pending";
    case functions::State::active: return "Active";
    case functions::State::inactive: return "Inactive";
    case functions::State::failed: return "Failed";
  }
  return "Failed";
}

namespace {

std::string_view status_name(functions::UpdateStatus status) {
  switch (status) {
    case functions::UpdateStatus::successful: return "Successful";
    case functions::UpdateStatus::in_progress: return "InProgress";
    case functions::UpdateStatus::failed: return "Failed";
  }
  return "Failed";
}

void describe_file_systems(const Version& version, model::FunctionConfiguration& out) {
  if (version.file_systems.empty()) return;
  std::vector<model::FileSystemConfig> mounts(version.file_systems.size());
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    mounts[i].set_arn(version.file_systems[i].arn);
    mounts[i].set_local_mount_path(version.file_systems[i].path);
  }
  out.set_file_system_configs(mounts);
}

void describe_image(const Version& version, model::FunctionConfiguration& out) {
  bool plain = version.image_entry_point.empty() && version.image_command.empty() &&
               version.image_working_dir.empty();
  if (plain) return;
  model::ImageConfig config;
  if (!version.image_entry_point.empty()) config.set_entry_point(version.image_entry_point);
  if (!version.image_command.empty()) config.set_command(version.image_command);
  if (!version.image_working_dir.empty()) config.set_working_directory(version.image_working_dir);
  model::ImageConfigResponse response;
  response.set_image_config(config);
  out.set_image_config_response(response);
}

void describe_state(const Version& version, model::FunctionConfiguration& out) {
  out.set_state(is_deactivated(version) ? "Deactivated" : std::string(state_name(version.state)));
  if (!version.state_reason.empty()) out.set_state_reason(version.state_reason);
  if (!version.state_reason_code.empty()) out.set_state_reason_code(version.state_reason_code);
  // While the function itself is being made there is no update to speak of.
  if (version.state == functions::State::pending) return;
  out.set_last_update_status(std::string(status_name(version.update_status)));
  if (!version.update_reason.empty()) out.set_last_update_status_reason(version.update_reason);
  if (!version.update_reason_code.empty()) {
    out.set_last_update_status_reason_code(version.update_reason_code);
  }
}

}  // namespace

ApiResult<void> apply(const model::CreateFunctionRequest& in, Version& version) {
  version.package_type = in.package_type().value_or("Zip");
  if (version.is_image()) {
    version.runtime.clear();
    version.handler.clear();
  } else if (in.runtime().value_or("").empty() || in.handler().value_or("").empty()) {
    return refuse(invalid(
        "Runtime and Handler are mandatory parameters for functions created with deployment "
        "packages."));
  }
  if (auto tenancy = in.tenancy_config()) {
    version.per_tenant = tenancy->tenant_isolation_mode().value_or("") == "PER_TENANT";
  }
  if (in.has_capacity_provider_config()) version.memory_mb = limits::managed_memory_min_mb;
  return apply_common(in, version);
}

ApiResult<void> apply(const model::UpdateFunctionConfigurationRequest& in, Version& version) {
  return apply_common(in, version);
}

model::FunctionConfiguration describe(const Version& version, const std::string& arn,
                                      bool with_state) {
  model::FunctionConfiguration out;
  out.set_function_name(version.name.str()).set_function_arn(arn).set_role(version.role);
  if (version.is_image()) {
    describe_image(version, out);
  } else {
    out.set_runtime(version.runtime).set_handler(version.handler);
  }
  out.set_code_size(static_cast<std::int64_t>(version.package.zip_bytes));
  // Of an image the digest in hex, of a zip in base64.
  out.set_code_sha256(version.is_image() ? version.package.sha256
                                         : functions::code_sha256(version.package));
  out.set_version(version.version);
  out.set_description(version.description).set_timeout(version.timeout_seconds);
  out.set_memory_size(version.memory_mb)
      .set_last_modified(iso_millis(version.last_modified, "+0000"));
  out.set_revision_id(version.revision_id).set_package_type(version.package_type);
  out.set_architectures({version.architecture}).set_config_sha256(version.config_sha256);
  model::EphemeralStorage storage;
  storage.set_size(version.tmp_mb);
  out.set_ephemeral_storage(storage);
  if (!version.dead_letter_arn.empty()) {
    out.set_dead_letter_config(model::DeadLetterConfig().set_target_arn(version.dead_letter_arn));
  }
  model::TracingConfigResponse tracing;
  tracing.set_mode(version.tracing_mode);
  out.set_tracing_config(tracing);
  model::SnapStartResponse snap;
  bool optimized = version.snap_start && version.version != "$LATEST";
  snap.set_apply_on(version.snap_start ? "PublishedVersions" : "None");
  snap.set_optimization_status(optimized ? "On" : "Off");
  out.set_snap_start(snap);
  model::LoggingConfig logging;
  bool json = version.log_format == functions::LogFormat::json;
  logging.set_log_format(json ? "JSON" : "Text");
  if (json) {
    logging.set_application_log_level(version.application_log_level);
    logging.set_system_log_level(version.system_log_level);
  }
  logging.set_log_group(version.log_group.empty() ? "/aws/lambda/" + version.name.str()
                                                  : version.log_group);
  out.set_logging_config(logging);
  describe_file_systems(version, out);
  if (!version.environment.empty()) {
    model::EnvironmentResponse environment;
    environment.set_variables(version.environment);
    out.set_environment(environment);
  }
  if (!version.layers.empty()) {
    std::vector<model::Layer> layers;
    for (const auto& layer : version.layers) {
      model::Layer item;
      item.set_arn(layer.arn).set_code_size(static_cast<std::int64_t>(layer.package.zip_bytes));
      layers.push_back(item);
    }
    out.set_layers(std::move(layers));
  }
  if (version.per_tenant) {
    model::TenancyConfig tenancy;
    tenancy.set_tenant_isolation_mode("PER_TENANT");
    out.set_tenancy_config(tenancy);
  }
  if (auto capacity = describe_capacity(version)) out.set_capacity_provider_config(*capacity);
  if (with_state) describe_state(version, out);
  return out;
}

ApiResult<void> check_role(std::string_view role, const AccountId& account) {
  // arn:aws:iam::ACCOUNT:role/NAME; the pattern was checked with the shape.
  auto owner = fmt::format("::{}:role/", account.str());
  if (role.find(owner) != role.npos) return {};
  return refuse(invalid("Cross-account pass role is not allowed."));
}

ApiResult<void> check_file_systems(const std::vector<model::FileSystemConfig>& given,
                                   const Scope& scope) {
  for (const auto& one : given) {
    std::string_view arn = one.arn().value_or("");
    if (arn.find(":s3files:") != arn.npos) return refuse(unbuilt("an S3 Files access point"));
    auto point = functions::parse_access_point(arn);
    if (!point) return refuse(invalid(point.error().message));
    if (point->scope != scope) {
      return refuse(invalid("The access point must be in the account and region of the function."));
    }
  }
  return {};
}

std::string config_digest(const Version& version) {
  // Each part with its length before it, so that no two configurations read the same.
  std::string text;
  auto add = [&text](std::string_view part) { text += fmt::format("{}:{}", part.size(), part); };
  for (const std::string* part :
       {&version.name.value, &version.description, &version.runtime, &version.handler,
        &version.role, &version.architecture, &version.package_type, &version.application_log_level,
        &version.system_log_level, &version.log_group, &version.tracing_mode,
        &version.dead_letter_arn, &version.extra}) {
    add(*part);
  }
  for (int number : {version.timeout_seconds, version.memory_mb, version.tmp_mb,
                     static_cast<int>(version.log_format)}) {
    add(std::to_string(number));
  }
  for (const auto& [key, value] : version.environment) {
    add(key);
    add(value);
  }
  for (const auto& layer : version.layers) add(layer.arn);
  for (const auto& mount : version.file_systems) {
    add(mount.arn);
    add(mount.path);
  }
  for (const auto* list : {&version.image_entry_point, &version.image_command}) {
    if (list->empty()) continue;
    add(list == &version.image_command ? "Command" : "EntryPoint");
    for (const auto& word : *list) add(word);
  }
  if (!version.image_working_dir.empty()) add(version.image_working_dir);
  if (version.snap_start) add("SnapStart");
  if (version.per_tenant) add("PER_TENANT");
  if (is_managed(version)) {
    add(fmt::format("{} {} {}", version.capacity_provider_arn, version.max_concurrency,
                    version.memory_gib_per_vcpu));
  }
  std::array<unsigned char, 32> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace mayfly::lambda
