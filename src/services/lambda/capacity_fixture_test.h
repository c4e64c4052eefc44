// Test only: capacity providers and functions on them.
#pragma once

#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {

inline const std::string invalid_parameter = "InvalidParameterValueException 400";
inline const std::string conflict_error = "ResourceConflictException 409";
inline const std::string missing = "ResourceNotFoundException 404";
inline const std::string provider_arn =
    "arn:aws:lambda:us-east-1:000000000000:capacity-provider:cp";

inline model::CreateCapacityProviderRequest provider(const std::string& name = "cp") {
  model::CapacityProviderVpcConfig vpc;
  vpc.set_subnet_ids({"subnet-1"}).set_security_group_ids({"sg-1"});
  model::CapacityProviderPermissionsConfig permissions;
  permissions.set_capacity_provider_operator_role_arn(role);
  model::CreateCapacityProviderRequest in;
  in.set_capacity_provider_name(name).set_vpc_config(vpc).set_permissions_config(permissions);
  return in;
}

inline model::CapacityProviderConfig on(const std::string& arn, int concurrency = 0,
                                        double ratio = 0) {
  model::LambdaManagedInstancesCapacityProviderConfig config;
  config.set_capacity_provider_arn(arn);
  if (concurrency > 0) config.set_per_execution_environment_max_concurrency(concurrency);
  if (ratio > 0) config.set_execution_environment_memory_gi_b_per_v_cpu(ratio);
  model::CapacityProviderConfig out;
  out.set_lambda_managed_instances_capacity_provider_config(config);
  return out;
}

inline model::CreateFunctionRequest managed(const std::string& name, int concurrency = 0) {
  auto in = House::request(name);
  in.set_runtime("nodejs22.x").set_capacity_provider_config(on(provider_arn, concurrency));
  return in;
}

inline model::GetCapacityProviderRequest get_of(const std::string& named) {
  model::GetCapacityProviderRequest in;
  in.set_capacity_provider_name(named);
  return in;
}

struct CapacityHouse : House {
  CapacityHouse() {
    invoker.snapshot_answer = invoke::Snapshot{};
    done("CreateCapacityProvider", provider());
  }
  const invoke::Runnable& run(const std::string& name, const std::string& qualifier = "") {
    model::InvocationRequest in;
    in.set_function_name(name).set_payload("{}");
    if (!qualifier.empty()) in.set_qualifier(qualifier);
    done("Invoke", in);
    return invoker.runnables.back();
  }
};

}  // namespace mayfly::lambda::test
