// Versions on capacity providers: their inits run when they are published.
#include "services/lambda/capacity_fixture_test.h"

namespace mayfly::lambda::test {
namespace {

// Its inits end when the test says so.
struct InitHouse : CapacityHouse {
  InitHouse() {
    invoker.snapshot_answer.reset();
    done("CreateFunction", managed("f", 2));
  }
  model::FunctionConfiguration publish_as(const std::string& to) {
    model::PublishVersionRequest in;
    in.set_function_name("f");
    if (!to.empty()) in.set_publish_to(to);
    return ok<model::FunctionConfiguration>("PublishVersion", in);
  }
  model::FunctionConfiguration get(const std::string& qualifier) {
    model::GetFunctionConfigurationRequest in;
    in.set_function_name("f").set_qualifier(qualifier);
    return ok<model::FunctionConfiguration>("GetFunctionConfiguration", in);
  }
  void end_init(std::size_t which, Result<invoke::Snapshot> with) {
    auto call = invoker.snapshots.at(which);
    call->result = std::move(with);
    call->done.set();
    loop.run_ready();
  }
  std::string call_it(const std::string& qualifier) {
    model::InvocationRequest in;
    in.set_function_name("f").set_qualifier(qualifier).set_payload("{}");
    return refused("Invoke", in);
  }
};

TEST_CASE("a version on a provider is pending until its init has run, and Failed where it fails") {
  for (const auto& [to, version] :
       {std::pair("", "1"), std::pair("LATEST_PUBLISHED", "$LATEST.PUBLISHED")}) {
    InitHouse house;
    CHECK(house.invoker.snapshots.empty());  // $LATEST has none
    auto made = house.publish_as(to);
    CHECK(*made.version() == version);
    CHECK(*made.state() == "Pending");
    CHECK(*made.state_reason_code() == "Creating");
    REQUIRE(house.invoker.snapshots.size() == 1);
    CHECK(house.invoker.runnables.back().version == version);
    house.end_init(0, invoke::Snapshot{.error_type = "Runtime.ImportModuleError",
                                       .message = R"({"errorMessage":"why"})"});
    made = house.get(version);
    CHECK(*made.state() == "Failed");
    CHECK(*made.state_reason_code() == "FunctionError.RuntimeInitError");
    CHECK(*made.state_reason() == "Runtime.ImportModuleError: why");
    CHECK(house.call_it(version) ==
          "ResourceConflictException 409: The operation cannot be performed at this time. The "
          "function f is currently in the following state: Failed");
    CHECK(house.call_it("$LATEST") == "accepted");
  }
  for (const auto& [type, code] :
       {std::pair("Extension.Crash", "ExtensionInitError"),
        std::pair("Sandbox.Timedout", "InitTimeout"),
        std::pair("TooManyExtensions", "TooManyExtensions"),
        std::pair("PermissionDenied", "PermissionDenied"),
        std::pair("Runtime.InvalidWorkingDir", "InvalidWorkingDirectory")}) {
    InitHouse house;
    house.publish_as("");
    house.end_init(0, invoke::Snapshot{.error_type = type, .message = "why"});
    CHECK(*house.get("1").state_reason_code() == std::string("FunctionError.") + code);
  }
}

TEST_CASE("a call of a version that is being initialised waits for it") {
  InitHouse house;
  house.publish_as("LATEST_PUBLISHED");
  auto before = house.invoker.runnables.size();
  house.loop.add_timer(house.loop.now(), [&house] {
    auto call = house.invoker.snapshots.at(0);
    call->result = invoke::Snapshot{};
    call->done.set();
  });
  CHECK(house.run("f").version == "$LATEST.PUBLISHED");
  CHECK(house.invoker.runnables.size() == before + 1);
  CHECK(*house.get("$LATEST.PUBLISHED").state() == "Active");
}

TEST_CASE("what is published anew while its init runs is initialised once more") {
  InitHouse house;
  house.publish_as("LATEST_PUBLISHED");
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_timeout(9);
  house.done("UpdateFunctionConfiguration", change);
  house.publish_as("LATEST_PUBLISHED");
  CHECK(house.invoker.snapshots.size() == 1);
  house.end_init(0, invoke::Snapshot{});
  CHECK(*house.get("$LATEST.PUBLISHED").state() == "Pending");
  REQUIRE(house.invoker.snapshots.size() == 2);
  CHECK(house.invoker.runnables.back().timeout_seconds == 9);
  house.end_init(1, invoke::Snapshot{});
  CHECK(*house.get("$LATEST.PUBLISHED").state() == "Active");
}

}  // namespace
}  // namespace mayfly::lambda::test
