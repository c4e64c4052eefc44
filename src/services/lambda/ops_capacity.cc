// Capacity providers: records that functions name, as tools create them. Nothing is launched for
// one: functions of all of them run on this machine, each provider's within its MaxVCpuCount.
#include "base/limits.h"
#include "services/lambda/config.h"
#include "services/lambda/managed.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

using functions::CapacityProvider;

constexpr std::string_view arn_mark = ":capacity-provider:";

std::string name_of(std::string_view text) {
  auto at = text.find(arn_mark);
  return std::string(at == text.npos ? text : text.substr(at + arn_mark.size()));
}

std::string arn_of(std::string_view text, const Scope& scope) {
  if (text.find(arn_mark) != text.npos) return std::string(text);
  CapacityProvider named;
  named.scope = scope;
  named.name = text;
  return named.arn();
}

api::ApiError no_such_provider(std::string_view arn) {
  return resource_not_found(fmt::format("Capacity provider not found: {}", arn));
}

template <class Texts>
std::vector<std::string> owned(const Texts& texts) {
  return {texts.begin(), texts.end()};
}

ApiResult<void> take_scaling(const model::CapacityProviderScalingConfig& given,
                             CapacityProvider& provider) {
  if (auto most = given.max_v_cpu_count()) provider.vcpus_max = static_cast<int>(*most);
  if (auto mode = given.scaling_mode()) provider.scaling_mode = *mode;
  auto policies = given.scaling_policies();
  if (!policies.empty()) provider.targets.clear();
  for (const auto& policy : policies) {
    provider.targets[std::string(policy.predefined_metric_type().value_or(""))] =
        policy.target_value().value_or(0);
  }
  if (provider.scaling_mode == "Auto" && !provider.targets.empty()) {
    if (!policies.empty()) {
      return refuse(invalid("ScalingPolicies are of use with the ScalingMode Manual alone."));
    }
    provider.targets.clear();
  }
  if (provider.scaling_mode == "Manual" && provider.targets.empty()) {
    return refuse(invalid("The ScalingMode Manual needs ScalingPolicies."));
  }
  return {};
}

model::CapacityProvider describe_provider(const CapacityProvider& provider,
                                          std::string_view state) {
  model::CapacityProvider out;
  out.set_capacity_provider_arn(provider.arn()).set_state(std::string(state));
  model::CapacityProviderVpcConfig vpc;
  vpc.set_subnet_ids(provider.subnets).set_security_group_ids(provider.security_groups);
  out.set_vpc_config(vpc);
  model::CapacityProviderPermissionsConfig permissions;
  permissions.set_capacity_provider_operator_role_arn(provider.operator_role);
  out.set_permissions_config(permissions);
  model::InstanceRequirements instances;
  instances.set_architectures(provider.architectures);
  if (!provider.allowed_instances.empty()) {
    instances.set_allowed_instance_types(provider.allowed_instances);
  }
  if (!provider.excluded_instances.empty()) {
    instances.set_excluded_instance_types(provider.excluded_instances);
  }
  out.set_instance_requirements(instances);
  model::CapacityProviderScalingConfig scaling;
  scaling.set_max_v_cpu_count(provider.vcpus_max).set_scaling_mode(provider.scaling_mode);
  std::vector<model::TargetTrackingScalingPolicy> policies;
  for (const auto& [metric, target] : provider.targets) {
    model::TargetTrackingScalingPolicy policy;
    policy.set_predefined_metric_type(metric).set_target_value(target);
    policies.push_back(policy);
  }
  if (!policies.empty()) scaling.set_scaling_policies(std::move(policies));
  out.set_capacity_provider_scaling_config(scaling);
  out.set_last_modified(iso_millis(provider.modified, "+0000"));
  return out;
}

template <class Out>
wire::Record answer_provider(const CapacityProvider& provider, std::string_view state = "Active") {
  Out out;
  out.set_capacity_provider(describe_provider(provider, state));
  return std::move(out).take();
}

}  // namespace

bool is_capacity_provider_arn(std::string_view arn) { return arn.find(arn_mark) != arn.npos; }

const functions::CapacityProvider* Service::find_capacity(const Scope& scope,
                                                          std::string_view named) const {
  if (arn_of(named, scope) != arn_of(name_of(named), scope)) return nullptr;  // of another account
  return deps_.registry.capacity().find(scope, name_of(named));
}

ApiResult<functions::CapacityProviders::Hold> Service::hold_capacity(const Scope& scope,
                                                                     const Version& version) {
  if (!is_managed(version)) return functions::CapacityProviders::Hold();
  const auto* provider = find_capacity(scope, version.capacity_provider_arn);
  if (!provider) return refuse(no_such_provider(version.capacity_provider_arn));
  if (std::ranges::find(provider->architectures, version.architecture) ==
      provider->architectures.end()) {
    return refuse(
        invalid(fmt::format("The capacity provider {} has no instances of architecture "
                            "{}.",
                            provider->name, version.architecture)));
  }
  return functions::CapacityProviders::Hold(deps_.registry.capacity(), scope, provider->name);
}

io::Task<ApiResult<void>> Service::change_capacity(
    Scope scope, std::string named, std::function<ApiResult<void>(CapacityProvider&)> apply) {
  if (!find_capacity(scope, named)) co_return refuse(no_such_provider(arn_of(named, scope)));
  std::optional<api::ApiError> refused;
  auto wrapped = [&refused, &apply](CapacityProvider& provider) -> Result<> {
    auto applied = apply(provider);
    if (applied) return {};
    refused = std::move(applied.error());
    return fail(ErrorKind::invalid, "refused");
  };
  auto updated = co_await deps_.registry.capacity().update(scope, name_of(named), wrapped);
  if (updated) co_return ApiResult<void>{};
  if (refused) co_return refuse(std::move(*refused));
  if (updated.error().kind == ErrorKind::not_found) {
    co_return refuse(no_such_provider(arn_of(named, scope)));
  }
  co_return refuse(from(updated.error()));
}

Service::Answer Service::create_capacity_provider(Call& call, Record input) {
  model::CreateCapacityProviderRequest in(std::move(input));
  CapacityProvider provider;
  provider.scope = call.scope;
  std::string_view named = in.capacity_provider_name().value_or("");
  provider.name = name_of(named);
  if (arn_of(named, call.scope) != provider.arn()) {
    co_return refuse(invalid("The capacity provider's own name is wanted, without an ARN."));
  }
  if (in.kms_key_arn()) co_return refuse(unbuilt("KmsKeyArn"));
  if (auto vpc = in.vpc_config()) {
    provider.subnets = owned(vpc->subnet_ids());
    provider.security_groups = owned(vpc->security_group_ids());
  }
  if (auto permissions = in.permissions_config()) {
    provider.operator_role = permissions->capacity_provider_operator_role_arn().value_or("");
  }
  CO_TRY(check_role(provider.operator_role, call.scope.account));
  provider.architectures = {deps_.settings.architectures.front()};
  if (auto instances = in.instance_requirements()) {
    CO_TRY(check_architectures(instances->architectures()));
    if (!instances->architectures().empty()) {
      provider.architectures = owned(instances->architectures());
    }
    provider.allowed_instances = owned(instances->allowed_instance_types());
    provider.excluded_instances = owned(instances->excluded_instance_types());
    if (!provider.allowed_instances.empty() && !provider.excluded_instances.empty()) {
      co_return refuse(
          invalid("AllowedInstanceTypes and ExcludedInstanceTypes cannot both be given."));
    }
  }
  provider.vcpus_max = limits::capacity_provider_vcpus_default;
  provider.scaling_mode = "Auto";
  if (auto scaling = in.capacity_provider_scaling_config()) {
    CO_TRY(take_scaling(*scaling, provider));
  }
  for (const auto& [key, value] : in.tags()) provider.tags.emplace(key, value);
  CO_TRY(check_tags(provider.tags));
  provider.modified = deps_.loop.clock().platform();
  auto answer = answer_provider<model::CreateCapacityProviderResponse>(provider);
  std::string arn = provider.arn();
  auto created = co_await deps_.registry.capacity().create(std::move(provider));
  if (created) co_return answer;
  if (created.error().kind == ErrorKind::already_exists) {
    co_return refuse(conflict("Capacity provider already exists: " + arn));
  }
  co_return refuse(from(created.error()));
}

Service::Answer Service::get_capacity_provider(Call& call, Record input) {
  model::GetCapacityProviderRequest in(std::move(input));
  std::string_view named = in.capacity_provider_name().value_or("");
  const auto* provider = find_capacity(call.scope, named);
  if (!provider) co_return refuse(no_such_provider(arn_of(named, call.scope)));
  co_return answer_provider<model::GetCapacityProviderResponse>(*provider);
}

Service::Answer Service::update_capacity_provider(Call& call, Record input) {
  model::UpdateCapacityProviderRequest in(std::move(input));
  std::string named(in.capacity_provider_name().value_or(""));
  auto scaling = in.capacity_provider_scaling_config();
  Record answer;
  CO_TRY(co_await change_capacity(call.scope, named, [&](CapacityProvider& provider) {
    auto taken = scaling ? take_scaling(*scaling, provider) : ApiResult<void>();
    provider.modified = deps_.loop.clock().platform();
    if (taken) answer = answer_provider<model::UpdateCapacityProviderResponse>(provider);
    return taken;
  }));
  prepared_.clear();  // runnables hold its bound
  co_return answer;
}

std::vector<std::pair<std::string, std::string>> Service::versions_on(const Scope& scope,
                                                                      std::string_view arn) const {
  std::vector<std::pair<std::string, std::string>> out;
  deps_.registry.for_each([&](const Function& function) {
    if (function.scope != scope) return;
    function.for_each_version([&](const Version& version) {
      if (version.capacity_provider_arn != arn) return;
      out.emplace_back(function.arn() + ":" + version.version,
                       is_deactivated(version) ? "Deactivated" : state_name(version.state));
    });
  });
  return out;
}

Service::Answer Service::delete_capacity_provider(Call& call, Record input) {
  model::DeleteCapacityProviderRequest in(std::move(input));
  std::string named(in.capacity_provider_name().value_or(""));
  const auto* provider = find_capacity(call.scope, named);
  if (!provider) co_return refuse(no_such_provider(arn_of(named, call.scope)));
  std::string arn = provider->arn();
  auto in_use = [&arn] {
    return refuse(
        conflict(fmt::format("The capacity provider {} is in use by function versions.", arn)));
  };
  if (!versions_on(call.scope, arn).empty()) co_return in_use();
  auto answer = answer_provider<model::DeleteCapacityProviderResponse>(*provider, "Deleting");
  auto removed = co_await deps_.registry.capacity().remove(call.scope, name_of(named));
  if (removed) co_return answer;
  if (removed.error().kind == ErrorKind::not_found) co_return refuse(no_such_provider(arn));
  if (removed.error().kind == ErrorKind::conflict) co_return in_use();
  co_return refuse(from(removed.error()));
}

Service::Answer Service::list_capacity_providers(Call& call, Record input) {
  model::ListCapacityProvidersRequest in(std::move(input));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  auto all = deps_.registry.capacity().list(call.scope);
  if (in.state().value_or("Active") != "Active") all.clear();  // there are no others
  std::optional<std::string> next;
  auto found = page_of(std::move(all), marker, page_size(in.max_items()), next,
                       [](const CapacityProvider* provider) { return provider->name; });
  std::vector<model::CapacityProvider> page;
  page.reserve(found.size());
  for (const auto* provider : found) page.push_back(describe_provider(*provider, "Active"));
  model::ListCapacityProvidersResponse out;
  out.set_capacity_providers(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

// $LATEST is not published: the cloud runs none of it.
Service::Answer Service::list_function_versions_by_capacity_provider(Call& call, Record input) {
  model::ListFunctionVersionsByCapacityProviderRequest in(std::move(input));
  std::string_view named = in.capacity_provider_name().value_or("");
  const auto* provider = find_capacity(call.scope, named);
  if (!provider) co_return refuse(no_such_provider(arn_of(named, call.scope)));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  auto all = versions_on(call.scope, provider->arn());
  std::erase_if(all, [](const auto& one) { return one.first.ends_with(":$LATEST"); });
  std::ranges::sort(all);
  std::optional<std::string> next;
  std::vector<model::FunctionVersionsByCapacityProviderListItem> page;
  for (const auto& [arn, state] : page_of(std::move(all), marker, page_size(in.max_items()), next,
                                          [](const auto& one) { return one.first; })) {
    model::FunctionVersionsByCapacityProviderListItem item;
    item.set_function_arn(arn).set_state(state);
    page.push_back(item);
  }
  model::ListFunctionVersionsByCapacityProviderResponse out;
  out.set_capacity_provider_arn(provider->arn()).set_function_versions(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

void Service::add_capacity(api::Service& service) {
  using Member = Answer (Service::*)(Call&, Record);
  static constexpr std::pair<std::string_view, Member> rows[] = {
      {"CreateCapacityProvider", &Service::create_capacity_provider},
      {"GetCapacityProvider", &Service::get_capacity_provider},
      {"UpdateCapacityProvider", &Service::update_capacity_provider},
      {"DeleteCapacityProvider", &Service::delete_capacity_provider},
      {"ListCapacityProviders", &Service::list_capacity_providers},
      {"ListFunctionVersionsByCapacityProvider",
       &Service::list_function_versions_by_capacity_provider},
      {"PutFunctionScalingConfig", &Service::put_function_scaling_config},
      {"GetFunctionScalingConfig", &Service::get_function_scaling_config},
  };
  for (const auto& [name, member] : rows) {
    service.handlers[name] = [this, member](Call& call, Record input) {
      return (this->*member)(call, std::move(input));
    };
  }
}

}  // namespace mayfly::lambda
