// Capacity providers, functions on them, and $LATEST.PUBLISHED.
#include "services/lambda/capacity_fixture_test.h"

namespace mayfly::lambda::test {
namespace {

TEST_CASE("a capacity provider is kept with what it was given and the cloud's defaults") {
  CapacityHouse house;
  house.stop();
  house.start();
  for (const auto& named : {std::string("cp"), provider_arn}) {
    auto out = house.ok<model::GetCapacityProviderResponse>("GetCapacityProvider", get_of(named));
    auto read = *out.capacity_provider();
    CHECK(*read.capacity_provider_arn() == provider_arn);
    CHECK(*read.state() == "Active");
    CHECK(read.vpc_config()->subnet_ids() == std::vector<std::string_view>{"subnet-1"});
    CHECK(*read.capacity_provider_scaling_config()->max_v_cpu_count() == 400);
    CHECK(*read.capacity_provider_scaling_config()->scaling_mode() == "Auto");
    CHECK(read.instance_requirements()->architectures() == std::vector<std::string_view>{"x86_64"});
  }
  CHECK(house.refused("CreateCapacityProvider", provider()).starts_with(conflict_error));
  CHECK(house.refused("GetCapacityProvider", get_of("other")).starts_with(missing));
  std::string foreign = "arn:aws:lambda:us-east-1:111111111111:capacity-provider:cp";
  CHECK(house.refused("GetCapacityProvider", get_of(foreign)).starts_with(missing));
}

TEST_CASE("what has no effect or no sense is refused in a capacity provider") {
  House house;
  auto with_key = provider();
  with_key.set_kms_key_arn("arn:aws:kms:us-east-1:000000000000:key/k");
  CHECK(house.refused("CreateCapacityProvider", with_key).find("501") != std::string::npos);
  auto manual = provider();
  model::CapacityProviderScalingConfig scaling;
  scaling.set_scaling_mode("Manual");
  manual.set_capacity_provider_scaling_config(scaling);
  CHECK(house.refused("CreateCapacityProvider", manual).starts_with(invalid_parameter));
  auto both = provider();
  model::InstanceRequirements instances;
  instances.set_allowed_instance_types({"m7i.large"}).set_excluded_instance_types({"c7i.large"});
  both.set_instance_requirements(instances);
  CHECK(house.refused("CreateCapacityProvider", both).starts_with(invalid_parameter));
  auto arm = provider();
  model::InstanceRequirements other;
  other.set_architectures({"arm64"});
  arm.set_instance_requirements(other);
  CHECK(house.refused("CreateCapacityProvider", arm).starts_with(invalid_parameter));
}

TEST_CASE("providers are listed by name and updated, deleted when no version names them") {
  CapacityHouse house;
  house.done("CreateCapacityProvider", provider("another"));
  model::ListCapacityProvidersRequest list;
  list.set_max_items(1);
  auto page = house.ok<model::ListCapacityProvidersResponse>("ListCapacityProviders", list);
  REQUIRE(page.capacity_providers().size() == 1);
  CHECK(page.capacity_providers()[0].capacity_provider_arn()->ends_with(":another"));
  list.set_marker(std::string(*page.next_marker()));
  page = house.ok<model::ListCapacityProvidersResponse>("ListCapacityProviders", list);
  CHECK(*page.capacity_providers().at(0).capacity_provider_arn() == provider_arn);
  CHECK_FALSE(page.next_marker());

  house.done("CreateFunction", managed("f"));
  model::UpdateCapacityProviderRequest update;
  model::CapacityProviderScalingConfig scaling;
  scaling.set_max_v_cpu_count(8);
  update.set_capacity_provider_name("cp").set_capacity_provider_scaling_config(scaling);
  CHECK(house.run("f").capacity_cpu_millis == 400'000);
  house.done("UpdateCapacityProvider", update);
  CHECK(house.run("f").capacity_cpu_millis == 8'000);

  model::DeleteCapacityProviderRequest remove;
  remove.set_capacity_provider_name("cp");
  CHECK(house.refused("DeleteCapacityProvider", remove).starts_with(conflict_error));
  model::DeleteFunctionRequest gone;
  gone.set_function_name("f");
  house.done("DeleteFunction", gone);
  CHECK(house.deleted == std::vector<std::string>{"f"});
  auto out = house.ok<model::DeleteCapacityProviderResponse>("DeleteCapacityProvider", remove);
  CHECK(*out.capacity_provider()->state() == "Deleting");
  CHECK(house.refused("DeleteCapacityProvider", remove).starts_with(missing));
}

TEST_CASE("capacity providers carry tags") {
  CapacityHouse house;
  model::TagResourceRequest tag;
  tag.set_resource(provider_arn).set_tags({{"team", "blue"}});
  house.done("TagResource", tag);
  model::ListTagsRequest list;
  list.set_resource(provider_arn);
  auto answer = house.ok<model::ListTagsResponse>("ListTags", list);
  auto tags = answer.tags();
  REQUIRE(tags.size() == 1);
  CHECK(tags.begin()->second == "blue");
}

TEST_CASE("a function on a provider has the cloud's defaults for its runtime and memory") {
  CapacityHouse house;
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", managed("f"));
  auto config =
      *made.capacity_provider_config()->lambda_managed_instances_capacity_provider_config();
  CHECK(*config.capacity_provider_arn() == provider_arn);
  CHECK(*config.per_execution_environment_max_concurrency() == 64);
  CHECK(*config.execution_environment_memory_gi_b_per_v_cpu() == 4);
  CHECK(*made.memory_size() == 2048);
  CHECK(*made.logging_config()->log_format() == "JSON");
  CHECK(*made.logging_config()->system_log_level() == "INFO");
  auto& first = house.run("f");
  CHECK(first.max_concurrency == 64);
  CHECK(first.cpu_millis == 1000);
  CHECK(first.managed);
  CHECK(first.json_logs);

  struct Wanted {
    const char* runtime;
    int memory;
    double ratio;
    int concurrency;
    int cpu_millis;
  };
  for (const auto& one :
       {Wanted{"python3.13", 8192, 2, 64, 4000}, Wanted{"java21", 8192, 4, 64, 2000},
        Wanted{"provided.al2023", 2048, 2, 8, 1000}, Wanted{"nodejs24.x", 32768, 2, 1024, 16000}}) {
    auto in = House::request(one.runtime + std::to_string(one.memory));
    std::string name(*in.function_name());
    std::erase(name, '.');
    in.set_function_name(name).set_runtime(one.runtime).set_memory_size(one.memory);
    in.set_capacity_provider_config(on(provider_arn, 0, one.ratio));
    house.done("CreateFunction", in);
    CHECK(house.run(name).max_concurrency == one.concurrency);
    CHECK(house.run(name).cpu_millis == one.cpu_millis);
  }
}

TEST_CASE("what a function on a provider cannot be is refused") {
  CapacityHouse house;
  auto refused = [&](auto change) {
    auto in = managed("f", 4);
    change(in);
    return house.refused("CreateFunction", in);
  };
  using In = model::CreateFunctionRequest;
  CHECK(refused([](In& in) { in.set_runtime("nodejs20.x"); }).starts_with(invalid_parameter));
  CHECK(refused([](In& in) { in.set_runtime("ruby3.4"); }).starts_with(invalid_parameter));
  CHECK(refused([](In& in) { in.set_memory_size(2047); }).starts_with(invalid_parameter));
  CHECK(refused([](In& in) { in.set_memory_size(32769); }) != "accepted");
  CHECK(refused([](In& in) { in.set_timeout(5401); }) != "accepted");
  CHECK(refused([](In& in) {
          model::LoggingConfig logging;
          logging.set_log_format("Text");
          in.set_logging_config(logging);
        }).starts_with(invalid_parameter));
  CHECK(refused([](In& in) {
          model::SnapStart snap;
          snap.set_apply_on("PublishedVersions");
          in.set_runtime("python3.13").set_snap_start(snap);
        }).starts_with(invalid_parameter));
  CHECK(refused([](In& in) {
          model::TenancyConfig tenancy;
          tenancy.set_tenant_isolation_mode("PER_TENANT");
          in.set_tenancy_config(tenancy);
        }).starts_with(invalid_parameter));
  CHECK(refused([](In& in) {
          in.set_capacity_provider_config(on(provider_arn.substr(0, provider_arn.size() - 1)));
        }).starts_with(missing));
  CHECK(refused([](In& in) { in.set_memory_size(32768).set_timeout(5400); }) == "accepted");
  model::PutProvisionedConcurrencyConfigRequest keep;
  keep.set_function_name("f").set_qualifier(house.publish("f", "one"));
  keep.set_provisioned_concurrent_executions(1);
  CHECK(house.refused("PutProvisionedConcurrencyConfig", keep).starts_with(invalid_parameter));
}

TEST_CASE("a function moves to a provider by its configuration, and stays there") {
  CapacityHouse house;
  house.create("f");
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_runtime("nodejs22.x");
  change.set_capacity_provider_config(on(provider_arn, 7));
  CHECK(house.refused("UpdateFunctionConfiguration", change).starts_with(invalid_parameter));
  change.set_memory_size(2048);
  house.done("UpdateFunctionConfiguration", change);
  CHECK(house.run("f").max_concurrency == 7);
  model::UpdateFunctionConfigurationRequest other;
  other.set_function_name("f").set_timeout(9);
  house.done("UpdateFunctionConfiguration", other);
  CHECK(house.run("f").max_concurrency == 7);
  CHECK(house.run("f").timeout_seconds == 9);
}

TEST_CASE("$LATEST.PUBLISHED is what an unqualified call runs, as it was when it was published") {
  CapacityHouse house;
  house.done("CreateFunction", managed("f", 2));
  CHECK(house.run("f").version == "$LATEST");
  model::PublishVersionRequest publish;
  publish.set_function_name("f").set_publish_to("LATEST_PUBLISHED");
  auto made = house.ok<model::FunctionConfiguration>("PublishVersion", publish);
  CHECK(*made.version() == "$LATEST.PUBLISHED");
  CHECK(made.function_arn()->ends_with(":f:$LATEST.PUBLISHED"));
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_timeout(9);
  house.done("UpdateFunctionConfiguration", change);
  house.stop();
  house.start();
  CHECK(house.run("f").version == "$LATEST.PUBLISHED");
  CHECK(house.run("f").timeout_seconds == 3);
  CHECK(house.run("f", "$LATEST").timeout_seconds == 9);
  CHECK(house.run("f", "$LATEST.PUBLISHED").timeout_seconds == 3);
  house.done("PublishVersion", publish);
  CHECK(house.run("f").timeout_seconds == 9);

  model::CreateAliasRequest alias;
  alias.set_function_name("f").set_name("live").set_function_version("$LATEST.PUBLISHED");
  house.done("CreateAlias", alias);
  CHECK(house.run("f", "live").version == "$LATEST.PUBLISHED");
  model::ListVersionsByFunctionRequest list;
  list.set_function_name("f");
  auto versions =
      house.ok<model::ListVersionsByFunctionResponse>("ListVersionsByFunction", list).versions();
  REQUIRE(versions.size() == 2);
  CHECK(*versions[1].version() == "$LATEST.PUBLISHED");

  model::DeleteFunctionRequest remove;
  remove.set_function_name("f").set_qualifier("$LATEST.PUBLISHED");
  CHECK(house.refused("DeleteFunction", remove).starts_with(conflict_error));
  model::DeleteAliasRequest forget;
  forget.set_function_name("f").set_name("live");
  house.done("DeleteAlias", forget);
  house.done("DeleteFunction", remove);
  CHECK(house.deleted.empty());
  CHECK(house.run("f").version == "$LATEST");
}

TEST_CASE("lists of versions have $LATEST.PUBLISHED behind $LATEST, on pages of any size") {
  CapacityHouse house;
  auto in = managed("f", 2);
  in.set_publish_to("LATEST_PUBLISHED");
  house.done("CreateFunction", in);
  house.publish("f", "one");
  house.publish("f", "two");
  house.create("g");
  for (int size : {1, 2, 3, 50}) {
    std::string found;
    model::ListVersionsByFunctionRequest list;
    list.set_function_name("f").set_max_items(size);
    while (true) {
      auto page = house.ok<model::ListVersionsByFunctionResponse>("ListVersionsByFunction", list);
      CHECK(page.versions().size() <= static_cast<std::size_t>(size));
      for (const auto& version : page.versions()) found += std::string(*version.version()) + " ";
      if (!page.next_marker()) break;
      list.set_marker(std::string(*page.next_marker()));
    }
    CHECK(found == "$LATEST $LATEST.PUBLISHED 1 2 ");
    found.clear();
    model::ListFunctionsRequest all;
    all.set_function_version("ALL").set_max_items(size);
    while (true) {
      auto page = house.ok<model::ListFunctionsResponse>("ListFunctions", all);
      CHECK(page.functions().size() <= static_cast<std::size_t>(size));
      for (const auto& version : page.functions()) {
        found += fmt::format("{}:{} ", *version.function_name(), *version.version());
      }
      if (!page.next_marker()) break;
      all.set_marker(std::string(*page.next_marker()));
    }
    CHECK(found == "f:$LATEST f:$LATEST.PUBLISHED f:1 f:2 g:$LATEST ");
  }
}

TEST_CASE("versions of a provider are listed; $LATEST is none") {
  CapacityHouse house;
  auto in = managed("f", 2);
  in.set_publish_to("LATEST_PUBLISHED");
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", in);
  CHECK(*made.version() == "$LATEST.PUBLISHED");
  house.publish("f", "one");
  house.create("plain");
  model::ListFunctionVersionsByCapacityProviderRequest list;
  list.set_capacity_provider_name("cp");
  auto out = house.ok<model::ListFunctionVersionsByCapacityProviderResponse>(
      "ListFunctionVersionsByCapacityProvider", list);
  CHECK(*out.capacity_provider_arn() == provider_arn);
  REQUIRE(out.function_versions().size() == 2);
  CHECK(out.function_versions()[0].function_arn()->ends_with(":f:$LATEST.PUBLISHED"));
  CHECK(out.function_versions()[1].function_arn()->ends_with(":f:1"));
  for (const auto& one : out.function_versions()) CHECK(*one.state() == "Active");
}

TEST_CASE("a published version says how many environments it has, at least and at most") {
  CapacityHouse house;
  auto in = managed("f", 2);
  in.set_publish_to("LATEST_PUBLISHED");
  house.done("CreateFunction", in);
  auto put = [&](std::optional<int> least, std::optional<int> most) {
    model::FunctionScalingConfig scaling;
    if (least) scaling.set_min_execution_environments(*least);
    if (most) scaling.set_max_execution_environments(*most);
    model::PutFunctionScalingConfigRequest request;
    request.set_function_name("f").set_qualifier("$LATEST.PUBLISHED");
    return request.set_function_scaling_config(scaling);
  };
  CHECK(house.refused("PutFunctionScalingConfig", put(3, 2)).starts_with(invalid_parameter));
  auto state =
      house.ok<model::PutFunctionScalingConfigResponse>("PutFunctionScalingConfig", put(2, 5));
  CHECK(*state.function_state() == "Active");
  house.loop.run_ready();
  auto& running = house.run("f");
  CHECK(running.kept == 2);
  CHECK(running.most == 5);
  CHECK(house.invoker.provisions.at(running.pool_key) == 2);

  model::GetFunctionScalingConfigRequest get;
  get.set_function_name("f").set_qualifier("$LATEST.PUBLISHED");
  auto read = house.ok<model::GetFunctionScalingConfigResponse>("GetFunctionScalingConfig", get);
  CHECK(*read.applied_function_scaling_config()->max_execution_environments() == 5);
  CHECK(read.function_arn()->ends_with(":f:$LATEST.PUBLISHED"));

  // Published anew, it is kept as before: of the new one.
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_timeout(9);
  house.done("UpdateFunctionConfiguration", change);
  model::PublishVersionRequest publish;
  publish.set_function_name("f").set_publish_to("LATEST_PUBLISHED");
  house.done("PublishVersion", publish);
  auto& anew = house.run("f");
  CHECK(anew.timeout_seconds == 9);
  CHECK(house.invoker.provisions.at(anew.pool_key) == 2);

  state = house.ok<model::PutFunctionScalingConfigResponse>("PutFunctionScalingConfig", put(0, 0));
  CHECK(*state.function_state() == "Deactivated");
  house.loop.run_ready();
  CHECK(house.invoker.provisions.at(anew.pool_key) == 0);
  model::InvocationRequest call;
  call.set_function_name("f").set_payload("{}");
  CHECK(house.refused("Invoke", call).starts_with(conflict_error));
  house.done("PutFunctionScalingConfig", put({}, {}));
  CHECK(house.run("f").version == "$LATEST.PUBLISHED");
  house.create("plain");
  auto other = put(1, 2);
  other.set_function_name("plain").set_qualifier(house.publish("plain", "one"));
  CHECK(house.refused("PutFunctionScalingConfig", other).starts_with(invalid_parameter));
}

TEST_CASE("PublishTo is for functions on a provider") {
  House house;
  house.create("f");
  model::PublishVersionRequest publish;
  publish.set_function_name("f").set_publish_to("LATEST_PUBLISHED");
  CHECK(house.refused("PublishVersion", publish).starts_with(invalid_parameter));
  model::UpdateFunctionCodeRequest code;
  code.set_function_name("f").set_zip_file(House::zip("2")).set_publish_to("LATEST_PUBLISHED");
  CHECK(house.refused("UpdateFunctionCode", code).starts_with(invalid_parameter));
}

TEST_CASE("a variable lets any function run several calls in an environment") {
  CapacityHouse house;
  auto with = [](const std::string& name, const std::string& value) {
    auto in = House::request(name);
    model::Environment environment;
    environment.set_variables({{"MAYFLY_MAX_CONCURRENCY", value}});
    return in.set_environment(environment);
  };
  house.done("CreateFunction", with("f", "16"));
  CHECK(house.run("f").max_concurrency == 16);
  CHECK_FALSE(house.run("f").managed);
  house.create("plain");
  CHECK(house.run("plain").max_concurrency == 1);
  for (const char* bad : {"0", "1601", "x", "1x", ""}) {
    CHECK(house.refused("CreateFunction", with("g", bad)).starts_with(invalid_parameter));
  }
  CHECK(house.refused("CreateFunction", with("g", "2").set_runtime("ruby3.4"))
            .starts_with(invalid_parameter));
  CHECK(house
            .refused("CreateFunction", with("g", "2")
                                           .set_runtime("nodejs22.x")
                                           .set_memory_size(2048)
                                           .set_capacity_provider_config(on(provider_arn)))
            .starts_with(invalid_parameter));
}

}  // namespace
}  // namespace mayfly::lambda::test
