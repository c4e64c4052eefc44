// How many environments a published version on a capacity provider has, at least and at most.
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

using functions::Version;

std::optional<model::FunctionScalingConfig> describe_scaling(const Version& version) {
  if (!version.environments_least && !version.environments_most) return std::nullopt;
  model::FunctionScalingConfig out;
  if (version.environments_least) {
    out.set_min_execution_environments(*version.environments_least);
  }
  if (version.environments_most) out.set_max_execution_environments(*version.environments_most);
  return out;
}

ApiResult<void> take_scaling(const std::optional<model::FunctionScalingConfig>& given,
                             Version& version) {
  if (!is_managed(version)) {
    return refuse(invalid(
        "A scaling configuration is supported for functions on a capacity provider alone."));
  }
  version.environments_least.reset();
  version.environments_most.reset();
  if (!given) return {};
  if (auto least = given->min_execution_environments()) {
    version.environments_least = static_cast<int>(*least);
  }
  if (auto most = given->max_execution_environments()) {
    version.environments_most = static_cast<int>(*most);
  }
  if (version.environments_most &&
      *version.environments_most < version.environments_least.value_or(0)) {
    return refuse(
        invalid("MinExecutionEnvironments must not be more than MaxExecutionEnvironments."));
  }
  return {};
}

}  // namespace

Service::Answer Service::put_function_scaling_config(Call& call, Record input) {
  model::PutFunctionScalingConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_version(ref));
  std::string state;
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    Version* version = published_of(function, ref.qualifier);
    if (version == nullptr) return refuse(function_not_found(ref.arn()));
    if (auto taken = take_scaling(in.function_scaling_config(), *version); !taken) return taken;
    state = is_deactivated(*version) ? "Deactivated" : state_name(version->state);
    return {};
  }));
  model::PutFunctionScalingConfigResponse out;
  out.set_function_state(state);
  co_return std::move(out).take();
}

Service::Answer Service::get_function_scaling_config(Call& call, Record input) {
  model::GetFunctionScalingConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY_ASSIGN(const Version* version, require_version(ref));
  model::GetFunctionScalingConfigResponse out;
  out.set_function_arn(ref.arn());
  // What is asked for applies at once.
  if (auto scaling = describe_scaling(*version)) {
    out.set_applied_function_scaling_config(*scaling).set_requested_function_scaling_config(
        *scaling);
  }
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
