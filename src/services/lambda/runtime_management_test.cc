#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

using Put = model::PutRuntimeManagementConfigRequest;
using Answer = model::PutRuntimeManagementConfigResponse;

constexpr const char* arn_1 = "arn:aws:lambda:us-east-1::runtime:nodejs20.x-1";

struct ManagedHouse : House {
  ManagedHouse() { create("f"); }
  static Put put(const std::string& mode, const std::string& arn = {},
                 const std::string& qualifier = {}) {
    Put in;
    in.set_function_name("f").set_update_runtime_on(mode);
    if (!arn.empty()) in.set_runtime_version_arn(arn);
    if (!qualifier.empty()) in.set_qualifier(qualifier);
    return in;
  }
  Answer set(const Put& in) { return ok<Answer>("PutRuntimeManagementConfig", in); }
  std::string mode(const std::string& qualifier = {}) {
    model::GetRuntimeManagementConfigRequest in;
    in.set_function_name("f");
    if (!qualifier.empty()) in.set_qualifier(qualifier);
    auto out = ok<model::GetRuntimeManagementConfigResponse>("GetRuntimeManagementConfig", in);
    return fmt::format("{} {}", *out.update_runtime_on(), out.runtime_version_arn().value_or("-"));
  }
  model::FunctionConfiguration configuration() {
    model::GetFunctionConfigurationRequest in;
    in.set_function_name("f");
    return ok<model::FunctionConfiguration>("GetFunctionConfiguration", in);
  }
  std::string call_it() {
    model::InvocationRequest in;
    in.set_function_name("f");
    return refused("Invoke", in);
  }
};

TEST_CASE("runtime management: kept for each version, over restarts") {
  ManagedHouse house;
  CHECK(house.mode() == "Auto -");
  auto out = house.set(house.put("FunctionUpdate"));
  CHECK(*out.update_runtime_on() == "FunctionUpdate");
  CHECK(*out.function_arn() == "arn:aws:lambda:us-east-1:000000000000:function:f");
  CHECK_FALSE(out.runtime_version_arn());
  house.publish("f", "one");
  CHECK(house.mode("1") == "FunctionUpdate -");  // a version takes it along
  out = house.set(house.put("Manual", arn_1, "1"));
  CHECK(*out.runtime_version_arn() == arn_1);
  CHECK(*out.function_arn() == "arn:aws:lambda:us-east-1:000000000000:function:f:1");
  house.stop();
  house.start();
  CHECK(house.mode() == "FunctionUpdate -");
  CHECK(house.mode("$LATEST") == "FunctionUpdate -");
  CHECK(house.mode("1") == std::string("Manual ") + arn_1);
  house.set(house.put("Auto", {}, "1"));
  CHECK(house.mode("1") == "Auto -");
}

TEST_CASE("runtime management: what is refused") {
  ManagedHouse house;
  const std::string operation = "PutRuntimeManagementConfig";
  const std::string code = "InvalidParameterValueException 400: ";
  CHECK(house.refused(operation, house.put("Manual")) ==
        code + "RuntimeVersionArn is required with the runtime update mode Manual.");
  CHECK(house.refused(operation, house.put("Auto", arn_1)).starts_with(code));
  CHECK(house.refused(operation, house.put("Manual", std::string(arn_1) + "0")) ==
        code +
            "The runtime version arn:aws:lambda:us-east-1::runtime:nodejs20.x-10 is not on this "
            "machine, which runs nodejs20.x as arn:aws:lambda:us-east-1::runtime:nodejs20.x-1.");
  CHECK(house.refused(operation, house.put("Auto", {}, "7"))
            .starts_with("ResourceNotFoundException"));
  house.publish("f", "one");
  model::CreateAliasRequest alias;
  alias.set_function_name("f").set_name("live").set_function_version("1");
  house.done("CreateAlias", alias);
  CHECK(house.refused(operation, house.put("Auto", {}, "live")).starts_with(code));
}

TEST_CASE("runtime management: the version that runs is told, and a chosen one is kept to") {
  ManagedHouse house;
  CHECK(*house.configuration().runtime_version_config()->runtime_version_arn() == arn_1);
  house.set(house.put("Manual", arn_1));
  house.runtime_build = "2";
  auto config = *house.configuration().runtime_version_config();
  CHECK(*config.runtime_version_arn() == arn_1);
  CHECK(*config.error()->error_code() == "RuntimeVersionGone");
  CHECK(house.call_it() ==
        "InvalidRuntimeException 502: The runtime version "
        "arn:aws:lambda:us-east-1::runtime:nodejs20.x-1 is not on this machine any more; "
        "nodejs20.x is arn:aws:lambda:us-east-1::runtime:nodejs20.x-2 here");
  house.set(house.put("FunctionUpdate"));
  CHECK(house.call_it() == "accepted");
  config = *house.configuration().runtime_version_config();
  CHECK(*config.runtime_version_arn() == "arn:aws:lambda:us-east-1::runtime:nodejs20.x-2");
  CHECK_FALSE(config.has_error());
}

TEST_CASE("runtime management: with Manual the runtime stays") {
  ManagedHouse house;
  house.set(house.put("Manual", arn_1));
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_runtime("python3.12");
  CHECK(house.refused("UpdateFunctionConfiguration", change)
            .starts_with("InvalidParameterValueException 400: The runtime and the architecture"));
  change.set_runtime("nodejs20.x");
  house.done("UpdateFunctionConfiguration", change);
  house.set(house.put("Auto"));
  change.set_runtime("python3.12");
  house.done("UpdateFunctionConfiguration", change);
}

}  // namespace
}  // namespace mayfly::lambda::test
