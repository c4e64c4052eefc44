#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

using Config = model::GetProvisionedConcurrencyConfigResponse;

model::PutProvisionedConcurrencyConfigRequest put(const std::string& qualifier, int count) {
  model::PutProvisionedConcurrencyConfigRequest in;
  in.set_function_name("f").set_qualifier(qualifier).set_provisioned_concurrent_executions(count);
  return in;
}

struct ProvisionedHouse : House {
  ProvisionedHouse() {
    create("f");
    publish("f", "one");
    publish("f", "two");
    alias("live", "1");
  }
  void alias(const std::string& name, const std::string& version) {
    model::CreateAliasRequest in;
    in.set_function_name("f").set_name(name).set_function_version(version);
    done("CreateAlias", in);
  }
  void keep(const std::string& qualifier, int count) {
    auto out = ok<model::PutProvisionedConcurrencyConfigResponse>("PutProvisionedConcurrencyConfig",
                                                                  put(qualifier, count));
    CHECK(*out.status() == "IN_PROGRESS");
    CHECK(*out.allocated_provisioned_concurrent_executions() == 0);
    loop.run_ready();
  }
  Config get(const std::string& qualifier) {
    model::GetProvisionedConcurrencyConfigRequest in;
    in.set_function_name("f").set_qualifier(qualifier);
    return ok<Config>("GetProvisionedConcurrencyConfig", in);
  }
  void forget(const std::string& qualifier) {
    model::DeleteProvisionedConcurrencyConfigRequest in;
    in.set_function_name("f").set_qualifier(qualifier);
    done("DeleteProvisionedConcurrencyConfig", in);
    loop.run_ready();
  }
  // Kept environments of a version.
  int kept(const std::string& version) {
    int out = 0;
    for (const auto& [key, count] : invoker.provisions) {
      if (key.find("/f/" + version + "/") != key.npos) out += count;
    }
    return out;
  }
};

TEST_CASE("a version is provisioned, and its state is told") {
  ProvisionedHouse house;
  house.keep("1", 5);
  CHECK(house.kept("1") == 5);
  CHECK(house.invoker.reserved == 5);
  CHECK(*house.get("1").status() == "IN_PROGRESS");
  house.invoker.provision_state = {.wanted = 5, .ready = 3, .failure = "no room"};
  auto out = house.get("1");
  CHECK(*out.status() == "FAILED");
  CHECK(*out.status_reason() == "no room");
  CHECK(*out.allocated_provisioned_concurrent_executions() == 3);
  house.invoker.provision_state = {.wanted = 5, .ready = 5, .failure = {}};
  out = house.get("1");
  CHECK(*out.status() == "READY");
  CHECK(*out.requested_provisioned_concurrent_executions() == 5);
  CHECK(*out.last_modified() == "2026-01-01T00:00:00+0000");
  model::ListProvisionedConcurrencyConfigsRequest list;
  list.set_function_name("f");
  auto page = house.ok<model::ListProvisionedConcurrencyConfigsResponse>(
      "ListProvisionedConcurrencyConfigs", list);
  REQUIRE(page.provisioned_concurrency_configs().size() == 1);
  CHECK(*page.provisioned_concurrency_configs().at(0).function_arn() ==
        "arn:aws:lambda:us-east-1:000000000000:function:f:1");
  house.stop();
  house.invoker.provisions.clear();
  house.start();
  house.loop.run_ready();
  CHECK(house.kept("1") == 5);
  house.forget("1");
  CHECK(house.kept("1") == 0);
  CHECK(house.invoker.reserved == 0);
  model::GetProvisionedConcurrencyConfigRequest get;
  get.set_function_name("f").set_qualifier("1");
  CHECK(house.refused("GetProvisionedConcurrencyConfig", get) ==
        "ProvisionedConcurrencyConfigNotFoundException 404: No Provisioned Concurrency Config "
        "found for this function");
}

TEST_CASE("an alias takes its provisioned concurrency along") {
  ProvisionedHouse house;
  house.keep("live", 2);
  CHECK(house.kept("1") == 2);
  model::UpdateAliasRequest move;
  move.set_function_name("f").set_name("live").set_function_version("2");
  house.done("UpdateAlias", move);
  house.loop.run_ready();
  CHECK(house.kept("1") == 0);
  CHECK(house.kept("2") == 2);
  model::AliasRoutingConfiguration routing;
  wire::Map weights;
  weights.emplace_back("1", 0.5);
  routing.set_additional_version_weights(std::move(weights));
  move.set_routing_config(routing);
  CHECK(house.refused("UpdateAlias", move) ==
        "InvalidParameterValueException 400: Alias with weights can not be used with Provisioned "
        "Concurrency");
  model::DeleteAliasRequest gone;
  gone.set_function_name("f").set_name("live");
  house.done("DeleteAlias", gone);
  house.loop.run_ready();
  CHECK(house.kept("2") == 0);
}

TEST_CASE("a deleted function keeps nothing") {
  ProvisionedHouse house;
  house.keep("1", 2);
  model::DeleteFunctionRequest gone;
  gone.set_function_name("f");
  house.done("DeleteFunction", gone);
  CHECK(house.kept("1") == 0);
  CHECK(house.invoker.reserved == 0);
}

TEST_CASE("what excludes itself is refused") {
  ProvisionedHouse house;
  const std::string operation = "PutProvisionedConcurrencyConfig";
  CHECK(house.refused(operation, put("$LATEST", 1)) ==
        "InvalidParameterValueException 400: Provisioned Concurrency Configs cannot be applied to "
        "unpublished function versions.");
  CHECK(house.refused(operation, put("9", 1)).starts_with("ResourceNotFoundException"));
  house.alias("latest", "$LATEST");
  CHECK(house.refused(operation, put("latest", 1)).starts_with("InvalidParameterValue"));
  house.keep("1", 1);
  CHECK(house.refused(operation, put("live", 1)) ==
        "ResourceConflictException 409: Alias can't be used for Provisioned Concurrency "
        "configuration on an already Provisioned version");
  house.forget("1");
  house.keep("live", 1);
  CHECK(house.refused(operation, put("1", 1)) ==
        "ResourceConflictException 409: Version is pointed by a Provisioned Concurrency alias");
}

TEST_CASE("it stays within the reservation and the account") {
  ProvisionedHouse house;
  const std::string operation = "PutProvisionedConcurrencyConfig";
  const std::string code = "InvalidParameterValueException 400: ";
  CHECK(house.refused(operation, put("1", 901)) ==
        code +
            "Specified ConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100].");
  CHECK(house.refused(operation, put("1", 1001)) ==
        code +
            "Specified ConcurrentExecutions for function is greater than account's unreserved "
            "concurrency [1000].");
  house.keep("1", 900);
  house.keep("1", 10);
  auto account = house.ok<model::GetAccountSettingsResponse>("GetAccountSettings",
                                                             model::GetAccountSettingsRequest());
  CHECK(*account.account_limit()->unreserved_concurrent_executions() == 990);
  model::PutFunctionConcurrencyRequest reserve;
  reserve.set_function_name("f").set_reserved_concurrent_executions(9);
  CHECK(house.refused("PutFunctionConcurrency", reserve) ==
        code +
            "ReservedConcurrentExecutions  9 should not be lower than function's total provisioned "
            "concurrency [10].");
  reserve.set_reserved_concurrent_executions(10);
  house.done("PutFunctionConcurrency", reserve);
  CHECK(house.invoker.reserved == 10);
  CHECK(house.refused(operation, put("2", 1)) ==
        code +
            "Requested Provisioned Concurrency should not be greater than the "
            "reservedConcurrentExecution for function");
}

}  // namespace
}  // namespace mayfly::lambda::test
