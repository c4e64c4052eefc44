#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

const std::string invalid_parameter = "InvalidParameterValueException 400";

model::CreateFunctionRequest isolated(const std::string& name) {
  auto in = House::request(name);
  model::TenancyConfig tenancy;
  tenancy.set_tenant_isolation_mode("PER_TENANT");
  in.set_tenancy_config(tenancy);
  return in;
}

model::InvocationRequest invoke_of(const std::string& name, const std::string& tenant = "") {
  model::InvocationRequest in;
  in.set_function_name(name).set_payload("{}");
  if (!tenant.empty()) in.set_tenant_id(tenant);
  return in;
}

TEST_CASE("tenant isolation is a property of the function and of its versions, for good") {
  House house;
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", isolated("f"));
  REQUIRE(made.tenancy_config());
  CHECK(*made.tenancy_config()->tenant_isolation_mode() == "PER_TENANT");
  CHECK_FALSE(house.create("plain").tenancy_config());
  house.publish("f", "one");
  house.stop();
  house.start();
  for (const std::string& qualifier : {std::string("$LATEST"), std::string("1")}) {
    model::GetFunctionConfigurationRequest get;
    get.set_function_name("f").set_qualifier(qualifier);
    auto read = house.ok<model::FunctionConfiguration>("GetFunctionConfiguration", get);
    CHECK(*read.tenancy_config()->tenant_isolation_mode() == "PER_TENANT");
  }
}

TEST_CASE("a tenant is named where the function isolates them, and only there") {
  House house;
  house.done("CreateFunction", isolated("f"));
  house.create("plain");
  CHECK(house.refused("Invoke", invoke_of("f")).starts_with(invalid_parameter));
  CHECK(house.refused("Invoke", invoke_of("plain", "blue")).starts_with(invalid_parameter));
  for (const char* type : {"Event", "DryRun"}) {
    auto in = invoke_of("f");
    in.set_invocation_type(type);
    CHECK(house.refused("Invoke", in).starts_with(invalid_parameter));
  }
  model::InvokeWithResponseStreamRequest stream;
  stream.set_function_name("f").set_payload("{}");
  CHECK(house.refused("InvokeWithResponseStream", stream).starts_with(invalid_parameter));
  model::InvokeAsyncRequest old;
  old.set_function_name("f").set_invoke_args("{}");
  CHECK(house.refused("InvokeAsync", old).starts_with(invalid_parameter));
  CHECK(house.invoker.requests.empty());
  CHECK(house.invoker.queued.empty());

  house.done("Invoke", invoke_of("f", "blue"));
  REQUIRE(house.invoker.requests.size() == 1);
  CHECK(house.invoker.requests[0].event.tenant_id == "blue");
  CHECK(house.invoker.runnables[0].per_tenant);
  auto event = invoke_of("f", "green");
  event.set_invocation_type("Event");
  house.done("Invoke", event);
  REQUIRE(house.invoker.queued.size() == 1);
  CHECK(house.invoker.queued[0].event.tenant_id == "green");
  house.done("Invoke", invoke_of("plain"));
  CHECK_FALSE(house.invoker.runnables.back().per_tenant);
}

TEST_CASE("what tenant isolation excludes is refused") {
  House house;
  auto snap = [] {
    model::SnapStart out;
    out.set_apply_on("PublishedVersions");
    return out;
  };
  auto snap_start = isolated("s");
  snap_start.set_snap_start(snap());
  CHECK(house.refused("CreateFunction", snap_start).starts_with(invalid_parameter));
  house.done("CreateFunction", isolated("f"));
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_snap_start(snap());
  CHECK(house.refused("UpdateFunctionConfiguration", change).starts_with(invalid_parameter));
  house.publish("f", "one");
  model::PutProvisionedConcurrencyConfigRequest provisioned;
  provisioned.set_function_name("f").set_qualifier("1").set_provisioned_concurrent_executions(1);
  CHECK(
      house.refused("PutProvisionedConcurrencyConfig", provisioned).starts_with(invalid_parameter));
  model::CreateFunctionUrlConfigRequest url;
  url.set_function_name("f").set_auth_type("NONE");
  CHECK(house.refused("CreateFunctionUrlConfig", url).starts_with(invalid_parameter));
  house.create("plain");
  model::PutFunctionEventInvokeConfigRequest destination;
  model::DestinationConfig to;
  model::OnFailure failure;
  failure.set_destination("arn:aws:lambda:us-east-1:000000000000:function:f");
  to.set_on_failure(failure);
  destination.set_function_name("plain").set_destination_config(to);
  CHECK(house.refused("PutFunctionEventInvokeConfig", destination).starts_with(invalid_parameter));
}

}  // namespace
}  // namespace mayfly::lambda::test
