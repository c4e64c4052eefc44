// Runtime management: when a version goes over to another version of its runtime. This machine has
// one version of each runtime, so the mode decides what may happen when that is another one than
// before: Auto and FunctionUpdate follow it, Manual runs on the one it names or not at all.
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

constexpr std::string_view manual = "Manual";

std::string mode_of(const functions::Version& version) {
  return version.update_runtime_on.empty() ? "Auto" : version.update_runtime_on;
}

// $LATEST or a published version: a configuration belongs to a version, and an alias has none.
ApiResult<const functions::Version*> version_of(const functions::Function& function,
                                                const FunctionRef& ref) {
  if (ref.qualifier.empty() || ref.qualifier == "$LATEST") return &function.latest;
  if (function.aliases.contains(ref.qualifier)) {
    return refuse(invalid(fmt::format(
        "Runtime management configurations belong to $LATEST and to published versions, and {} is "
        "an alias.",
        ref.qualifier)));
  }
  if (is_version_number(ref.qualifier) && ref.qualifier.size() < 10) {
    auto found = function.versions.find(std::stoi(ref.qualifier));
    if (found != function.versions.end()) return &found->second;
  }
  return refuse(function_not_found(ref.arn()));
}

template <class Out>
Out describe_management(const functions::Version& version, const FunctionRef& ref) {
  Out out;
  out.set_function_arn(ref.arn()).set_update_runtime_on(mode_of(version));
  if (!version.runtime_version_arn.empty()) {
    out.set_runtime_version_arn(version.runtime_version_arn);
  }
  return out;
}

// "arn:aws:lambda:REGION:…"
std::string region_of(const std::string& arn) {
  std::size_t begin = std::string_view("arn:aws:lambda:").size();
  return arn.substr(begin, arn.find(':', begin) - begin);
}

}  // namespace

ApiResult<void> check_manual_runtime(const functions::Version& before,
                                     const functions::Version& after) {
  if (before.update_runtime_on != manual) return {};
  if (before.runtime == after.runtime && before.architecture == after.architecture) return {};
  return refuse(
      invalid("The runtime and the architecture of a function cannot be changed while its runtime "
              "update mode is Manual. Change the mode to Auto or FunctionUpdate first."));
}

std::string Service::installed_runtime(const Region& region, std::string_view identifier) const {
  if (!deps_.runtime_version_arn) return {};
  return deps_.runtime_version_arn(region, identifier).value_or("");
}

Result<> Service::check_chosen_runtime(const Region& region, const Version& version) const {
  if (version.update_runtime_on != manual) return {};
  auto installed = installed_runtime(region, version.runtime);
  if (installed == version.runtime_version_arn) return {};
  return fail(ErrorKind::invalid,
              fmt::format("The runtime version {} is not on this machine any more; {} is {} here",
                          version.runtime_version_arn, version.runtime,
                          installed.empty() ? "not there" : installed),
              "InvalidRuntimeException");
}

std::optional<model::RuntimeVersionConfig> Service::describe_runtime(const Version& version,
                                                                     const std::string& arn) const {
  if (version.is_image()) return std::nullopt;  // its image is its runtime
  Region region(region_of(arn));
  model::RuntimeVersionConfig config;
  model::RuntimeVersionError error;
  std::string shown = version.runtime_version_arn;
  if (shown.empty()) shown = installed_runtime(region, version.runtime);
  if (!shown.empty()) config.set_runtime_version_arn(shown);
  // An identifier that cannot run any more says nothing here: calls do.
  auto warning = deps_.runtime_warning ? deps_.runtime_warning(version.runtime) : std::string();
  if (auto chosen = check_chosen_runtime(region, version); !chosen) {
    error.set_error_code("RuntimeVersionGone").set_message(chosen.error().message);
    config.set_error(error);
  } else if (warning && !warning->empty()) {
    error.set_error_code("RuntimeMapped").set_message(*warning);
    config.set_error(error);
  } else if (shown.empty()) {
    return std::nullopt;
  }
  return config;
}

Service::Answer Service::put_runtime_management_config(Call& call, Record input) {
  model::PutRuntimeManagementConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  std::string mode(in.update_runtime_on().value_or("Auto"));
  std::string arn(in.runtime_version_arn().value_or(""));
  if (mode == manual && arn.empty()) {
    co_return refuse(invalid("RuntimeVersionArn is required with the runtime update mode Manual."));
  }
  if (mode != manual && !arn.empty()) {
    co_return refuse(invalid(fmt::format(
        "RuntimeVersionArn is of use with the runtime update mode Manual alone, not with {}.",
        mode)));
  }
  Version shown;
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto found = version_of(function, ref);
    if (!found) return refuse(found.error());
    if (auto settled = require_settled(function); !settled) return settled;
    if ((*found)->is_image()) {
      return refuse(
          invalid("Runtime management is not supported for functions created with "
                  "container images."));
    }
    std::string installed = installed_runtime(function.scope.region, (*found)->runtime);
    if (mode == manual && arn != installed) {
      return refuse(
          invalid(fmt::format("The runtime version {} is not on this machine, which runs {} as {}.",
                              arn, (*found)->runtime, installed.empty() ? "nothing" : installed)));
    }
    Version& version = (*found)->version == "$LATEST" ? function.latest
                       : (*found)->version == latest_published
                           ? *function.latest_published
                           : function.versions.at(std::stoi((*found)->version));
    version.update_runtime_on = mode == "Auto" ? "" : mode;
    version.runtime_version_arn = arn;
    shown = version;
    return {};
  }));
  co_return describe_management<model::PutRuntimeManagementConfigResponse>(shown, ref).take();
}

Service::Answer Service::get_runtime_management_config(Call& call, Record input) {
  model::GetRuntimeManagementConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY_ASSIGN(const Version* version, version_of(*function, ref));
  co_return describe_management<model::GetRuntimeManagementConfigResponse>(*version, ref).take();
}

}  // namespace mayfly::lambda
