#include "base/limits.h"
#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

using Configuration = model::FunctionConfiguration;

struct SnapHouse : House {
  SnapHouse() { ok<Configuration>("CreateFunction", with_snap("f")); }
  static model::SnapStart snap(const std::string& apply_on = "PublishedVersions") {
    model::SnapStart out;
    out.set_apply_on(apply_on);
    return out;
  }
  static model::CreateFunctionRequest with_snap(const std::string& name,
                                                const std::string& runtime = "python3.12") {
    auto in = request(name);
    in.set_runtime(runtime).set_snap_start(snap());
    return in;
  }
  Configuration publish_it() {
    model::PublishVersionRequest in;
    in.set_function_name("f");
    return ok<Configuration>("PublishVersion", in);
  }
  Configuration get(const std::string& qualifier) {
    model::GetFunctionConfigurationRequest in;
    in.set_function_name("f");
    if (!qualifier.empty()) in.set_qualifier(qualifier);
    return ok<Configuration>("GetFunctionConfiguration", in);
  }
  void end_snapshot(Result<invoke::Snapshot> with) {
    auto call = invoker.snapshots.back();
    call->result = std::move(with);
    call->done.set();
    loop.run_ready();
  }
  std::string call_it(const std::string& qualifier) {
    model::InvocationRequest in;
    in.set_function_name("f").set_qualifier(qualifier);
    return refused("Invoke", in);
  }
};

TEST_CASE("SnapStart: a published version is pending until its init has run") {
  SnapHouse house;
  auto latest = house.get("");
  CHECK(*latest.snap_start()->apply_on() == "PublishedVersions");
  CHECK(*latest.snap_start()->optimization_status() == "Off");
  CHECK(*latest.state() == "Active");
  CHECK(house.invoker.snapshots.empty());

  auto published = house.publish_it();
  CHECK(*published.state() == "Pending");
  CHECK(*published.state_reason_code() == "Creating");
  CHECK(*published.snap_start()->optimization_status() == "On");
  REQUIRE(house.invoker.snapshots.size() == 1);
  CHECK(house.invoker.runnables.back().snap_start);
  CHECK(house.invoker.runnables.back().version == "1");
  CHECK(house.call_it("1") ==
        "SnapStartNotReadyException 409: Lambda is initializing your function. It will be ready "
        "to invoke once your function state becomes ACTIVE.");
  CHECK(house.call_it("$LATEST") == "accepted");
  CHECK_FALSE(house.invoker.runnables.back().snap_start);

  house.end_snapshot(invoke::Snapshot{});
  CHECK(*house.get("1").state() == "Active");
  CHECK_FALSE(house.get("1").state_reason());
  CHECK(house.call_it("1") == "accepted");
  CHECK(house.invoker.snapshots.size() == 1);
}

TEST_CASE("SnapStart: an init that fails makes the version Failed, with the API's codes") {
  const std::pair<const char*, const char*> codes[] = {
      {"Runtime.BeforeSnapshotError", "FunctionError.RuntimeInitError"},
      {"Runtime.ExitError", "FunctionError.RuntimeInitError"},
      {"Sandbox.Timedout", "FunctionError.InitTimeout"},
      {"Runtime.OutOfMemory", "FunctionError.InitResourceExhausted"},
      {"Runtime.InvalidEntrypoint", "FunctionError.InvalidEntryPoint"}};
  for (const auto& [type, code] : codes) {
    SnapHouse house;
    house.publish_it();
    house.end_snapshot(
        invoke::Snapshot{.error_type = type, .message = R"({"errorMessage":"why"})"});
    auto version = house.get("1");
    CHECK(*version.state() == "Failed");
    CHECK(*version.state_reason_code() == code);
    CHECK(*version.state_reason() == std::string(type) + ": why");
    CHECK(house.call_it("1").starts_with("ResourceConflictException 409"));
    CHECK(*house.get("").state() == "Active");
  }
  SnapHouse house;
  house.publish_it();
  house.end_snapshot(fail(ErrorKind::throttled, "no room"));
  CHECK(*house.get("1").state_reason_code() == "InternalError");
}

TEST_CASE("SnapStart: versions published with a creation or an update wait as well") {
  House house;
  auto in = SnapHouse::with_snap("f");
  in.set_publish(true);
  auto made = house.ok<Configuration>("CreateFunction", in);
  CHECK(*made.version() == "1");
  CHECK(*made.state() == "Pending");
  REQUIRE(house.invoker.snapshots.size() == 1);
  model::UpdateFunctionCodeRequest update;
  update.set_function_name("f").set_zip_file(House::zip("exports.handler = 2")).set_publish(true);
  made = house.ok<Configuration>("UpdateFunctionCode", update);
  CHECK(*made.version() == "2");
  CHECK(*made.state() == "Pending");
  REQUIRE(house.invoker.snapshots.size() == 2);
  CHECK(house.invoker.runnables.back().version == "2");
}

TEST_CASE("SnapStart: what a stop left pending goes on at the next start") {
  SnapHouse house;
  house.publish_it();
  REQUIRE(house.invoker.snapshots.size() == 1);
  house.stop();
  house.invoker.snapshot_answer = invoke::Snapshot{};
  house.start();
  while (*house.get("1").state() == "Pending") house.loop.run_ready();
  CHECK(house.invoker.snapshots.size() == 2);
  CHECK(*house.get("1").state() == "Active");
}

TEST_CASE("SnapStart: which functions may have it") {
  House house;
  const std::string code = "InvalidParameterValueException 400: ";
  for (const char* runtime :
       {"nodejs20.x", "python3.11", "python3.9", "ruby3.3", "java8.al2", "provided.al2023"}) {
    CHECK(house.refused("CreateFunction", SnapHouse::with_snap("f", runtime)) ==
          code + runtime + " is not supported for SnapStart enabled functions.");
  }
  for (const char* runtime : {"java11", "java17", "java25", "python3.12", "python3.14"}) {
    std::string name = runtime;
    std::erase(name, '.');
    house.ok<Configuration>("CreateFunction", SnapHouse::with_snap(name, runtime));
  }
  auto in = SnapHouse::with_snap("g");
  model::EphemeralStorage storage;
  storage.set_size(limits::snap_start_tmp_max_mb + 1);
  in.set_ephemeral_storage(storage);
  CHECK(house.refused("CreateFunction", in) ==
        code +
            "Ephemeral storage of more than 512 MB is not supported for SnapStart enabled "
            "functions.");
  storage.set_size(limits::snap_start_tmp_max_mb);
  in.set_ephemeral_storage(storage);
  house.ok<Configuration>("CreateFunction", in);
  // A change of another setting is looked at as well.
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("g").set_runtime("python3.11");
  CHECK(house.refused("UpdateFunctionConfiguration", change).starts_with(code));
  change.set_snap_start(SnapHouse::snap("None"));
  house.done("UpdateFunctionConfiguration", change);
}

TEST_CASE("SnapStart: provisioned concurrency is excluded") {
  SnapHouse house;
  house.invoker.snapshot_answer = invoke::Snapshot{};
  house.publish_it();
  house.loop.run_ready();
  model::PutProvisionedConcurrencyConfigRequest put;
  put.set_function_name("f").set_qualifier("1").set_provisioned_concurrent_executions(1);
  const std::string refusal =
      "InvalidParameterValueException 400: Provisioned Concurrency is not supported for SnapStart "
      "enabled function versions.";
  CHECK(house.refused("PutProvisionedConcurrencyConfig", put) == refusal);
  model::CreateAliasRequest alias;
  alias.set_function_name("f").set_name("live").set_function_version("1");
  house.done("CreateAlias", alias);
  put.set_qualifier("live");
  CHECK(house.refused("PutProvisionedConcurrencyConfig", put) == refusal);
}

TEST_CASE("SnapStart: a deleted version's snapshot is dropped, and turning it off publishes anew") {
  SnapHouse house;
  house.invoker.snapshot_answer = invoke::Snapshot{};
  house.publish_it();
  house.loop.run_ready();
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_snap_start(SnapHouse::snap("None"));
  house.done("UpdateFunctionConfiguration", change);
  auto second = house.publish_it();
  CHECK(*second.version() == "2");
  CHECK(*second.state() == "Active");
  CHECK(*second.snap_start()->optimization_status() == "Off");
  model::DeleteFunctionRequest gone;
  gone.set_function_name("f").set_qualifier("1");
  house.done("DeleteFunction", gone);
  REQUIRE(house.invoker.forgotten.size() == 1);
  CHECK(house.invoker.forgotten[0].find("/f/1/") != std::string::npos);
  gone.set_qualifier("2");
  house.done("DeleteFunction", gone);
  CHECK(house.invoker.forgotten.size() == 1);
}

TEST_CASE("SnapStart: a restore that fails is the API's exception") {
  SnapHouse house;
  house.invoker.snapshot_answer = invoke::Snapshot{};
  house.publish_it();
  house.loop.run_ready();
  house.invoker.answer = fail(ErrorKind::unavailable, "the hook failed", "SnapStartException");
  CHECK(house.call_it("1") == "SnapStartException 400: the hook failed");
  house.invoker.answer = fail(ErrorKind::timeout, "too slow", "SnapStartTimeoutException");
  CHECK(house.call_it("1") == "SnapStartTimeoutException 408: too slow");
}

}  // namespace
}  // namespace mayfly::lambda::test
