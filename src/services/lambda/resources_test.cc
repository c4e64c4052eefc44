#include "services/lambda/fixture_test.h"
#include "services/lambda/policy.h"

namespace mayfly::lambda::test {
namespace {

const std::string arn = "arn:aws:lambda:us-east-1:000000000000:function:f";

model::AliasRoutingConfiguration weights(const std::string& version, double weight) {
  wire::Map map;
  map.emplace_back(version, weight);
  model::AliasRoutingConfiguration out;
  out.set_additional_version_weights(std::move(map));
  return out;
}

TEST_CASE("versions are published once per change") {
  House house;
  auto made = house.create("f");
  model::PublishVersionRequest in;
  in.set_function_name("f").set_description("first");
  auto first = house.ok<model::FunctionConfiguration>("PublishVersion", in);
  CHECK(*first.version() == "1");
  CHECK(*first.function_arn() == arn + ":1");
  CHECK(*first.description() == "first");
  CHECK(*house.ok<model::FunctionConfiguration>("PublishVersion", in).version() == "1");
  CHECK(house.publish("f", "changed") == "2");
  in.set_code_sha256("wrong");
  CHECK(
      house.refused("PublishVersion", in) ==
      "InvalidParameterValueException 400: CodeSHA256 (wrong) is different from current CodeSHA256 "
      "in $LATEST (" +
          std::string(*made.code_sha256()) + "). Please try again with the CodeSHA256 in $LATEST.");
  model::PublishVersionRequest stale;
  stale.set_function_name("f").set_revision_id("stale");
  CHECK(house.refused("PublishVersion", stale).starts_with("PreconditionFailedException 412"));
  model::ListVersionsByFunctionRequest list;
  list.set_function_name("f").set_max_items(2);
  auto page = house.ok<model::ListVersionsByFunctionResponse>("ListVersionsByFunction", list);
  REQUIRE(page.versions().size() == 2);
  CHECK(*page.versions()[0].version() == "$LATEST");
  CHECK(*page.versions()[1].version() == "1");
  list.set_marker(std::string(*page.next_marker()));
  page = house.ok<model::ListVersionsByFunctionResponse>("ListVersionsByFunction", list);
  REQUIRE(page.versions().size() == 1);
  CHECK(*page.versions()[0].version() == "2");
  CHECK_FALSE(page.next_marker());
}

TEST_CASE("aliases point, weigh, and refuse") {
  House house;
  house.create("f");
  house.publish("f", "one");
  house.publish("f", "two");
  model::CreateAliasRequest in;
  in.set_function_name("f").set_name("live").set_function_version("1");
  in.set_routing_config(weights("2", 0.25));
  auto made = house.ok<model::AliasConfiguration>("CreateAlias", in);
  CHECK(*made.alias_arn() == arn + ":live");
  CHECK(made.routing_config());
  CHECK(house.refused("CreateAlias", in) ==
        "ResourceConflictException 409: Alias already exists: " + arn + ":live");
  auto wrong = [&](const std::string& version, const std::string& extra) {
    model::CreateAliasRequest other;
    other.set_function_name("f").set_name("other").set_function_version(version);
    if (!extra.empty()) other.set_routing_config(weights(extra, 0.5));
    return house.refused("CreateAlias", other);
  };
  CHECK(wrong("9", "") == "ResourceNotFoundException 404: Function not found: " + arn + ":9");
  CHECK(wrong("1", "9") == "ResourceNotFoundException 404: Function not found: " + arn + ":9");
  CHECK(
      wrong("$LATEST", "1") ==
      "InvalidParameterValueException 400: $LATEST is not supported for an alias pointing to more "
      "than 1 version");
  CHECK(wrong("1", "1") ==
        "InvalidParameterValueException 400: Invalid function version 1. Function version 1 is "
        "already "
        "included in routing configuration.");
  model::GetFunctionConfigurationRequest get;
  get.set_function_name("f:live");
  auto config = house.ok<model::FunctionConfiguration>("GetFunctionConfiguration", get);
  CHECK(*config.version() == "1");
  CHECK(*config.function_arn() == arn + ":live");
  model::DeleteFunctionRequest pinned;
  pinned.set_function_name("f").set_qualifier("2");
  CHECK(house.refused("DeleteFunction", pinned).starts_with("ResourceConflictException 409"));
  model::UpdateAliasRequest update;
  update.set_function_name("f").set_name("live").set_function_version("2");
  update.set_routing_config(model::AliasRoutingConfiguration()).set_revision_id("stale");
  CHECK(house.refused("UpdateAlias", update).starts_with("PreconditionFailedException 412"));
  update.set_revision_id(std::string(*made.revision_id()));
  auto moved = house.ok<model::AliasConfiguration>("UpdateAlias", update);
  CHECK(*moved.function_version() == "2");
  CHECK_FALSE(moved.routing_config());
  model::GetAliasRequest absent;
  absent.set_function_name("f").set_name("nobody");
  CHECK(house.refused("GetAlias", absent) ==
        "ResourceNotFoundException 404: Cannot find alias arn: " + arn + ":nobody");
  model::ListAliasesRequest list;
  list.set_function_name("f").set_function_version("1");
  CHECK(house.ok<model::ListAliasesResponse>("ListAliases", list).aliases().empty());
  list.set_function_version("2");
  CHECK(house.ok<model::ListAliasesResponse>("ListAliases", list).aliases().size() == 1);
  model::DeleteAliasRequest drop;
  drop.set_function_name("f").set_name("live");
  house.done("DeleteAlias", drop);
  house.done("DeleteAlias", drop);
}

TEST_CASE("tags") {
  House house;
  house.create("f");
  model::TagResourceRequest in;
  in.set_resource(arn).set_tags({{"a", "1"}, {"b", "2"}});
  house.done("TagResource", in);
  model::UntagResourceRequest drop;
  drop.set_resource(arn).set_tag_keys({"a", "never there"});
  house.done("UntagResource", drop);
  model::ListTagsRequest list;
  list.set_resource(arn);
  auto listed = house.ok<model::ListTagsResponse>("ListTags", list);
  auto tags = listed.tags();  // views into `listed`
  REQUIRE(tags.size() == 1);
  CHECK(tags[0].first == "b");
  std::map<std::string, std::string> many;
  for (int i = 0; i < 50; ++i) many[std::to_string(i)] = "";
  in.set_tags(many);
  CHECK(house.refused("TagResource", in) ==
        "InvalidParameterValueException 400: Number of tags exceeds resource tag limit. Tags: 51, "
        "limit: 50");
  list.set_resource(arn + ":1");
  CHECK(house.refused("ListTags", list).starts_with("InvalidParameterValueException 400"));
}

TEST_CASE("policies are written as the cloud writes them") {
  House house;
  house.create("f");
  house.publish("f", "one");
  model::AddPermissionRequest in;
  in.set_function_name("f").set_statement_id("s3").set_action("lambda:InvokeFunction");
  in.set_principal("s3.amazonaws.com").set_source_arn("arn:aws:s3:::b");
  in.set_source_account("000000000000");
  std::string statement =
      "{\"Sid\":\"s3\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"s3.amazonaws.com\"},"
      "\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" +
      arn +
      "\",\"Condition\":{\"StringEquals\":{\"AWS:SourceAccount\":\"000000000000\"},"
      "\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::b\"}}}";
  CHECK(*house.ok<model::AddPermissionResponse>("AddPermission", in).statement() == statement);
  CHECK(house.refused("AddPermission", in) ==
        "ResourceConflictException 409: The statement id (s3) provided already exists. Please "
        "provide "
        "a new statement id, or remove the existing statement.");
  model::GetPolicyRequest get;
  get.set_function_name("f");
  CHECK(*house.ok<model::GetPolicyResponse>("GetPolicy", get).policy() ==
        "{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[" + statement + "]}");
  get.set_qualifier("1");
  CHECK(house.refused("GetPolicy", get) ==
        "ResourceNotFoundException 404: The resource you requested does not exist.");
  model::AddPermissionRequest account;
  account.set_function_name("f").set_statement_id("acc").set_action("lambda:InvokeFunction");
  account.set_principal("111111111111").set_qualifier("1");
  CHECK(*house.ok<model::AddPermissionResponse>("AddPermission", account).statement() ==
        "{\"Sid\":\"acc\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":"
        "\"arn:aws:iam::111111111111:root\"},\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" +
            arn + ":1\"}");
  account.set_principal("nobody").set_statement_id("bad");
  CHECK(house.refused("AddPermission", account) ==
        "InvalidParameterValueException 400: The provided principal was invalid. Please check the "
        "principal and try again.");
  auto statements = house.service->statements(arn);
  REQUIRE(statements.size() == 1);
  CHECK(statements[0].principal == "s3.amazonaws.com");
  CHECK(statements[0].source_arn == "arn:aws:s3:::b");
  CHECK(house.service->statements(arn + ":1").size() == 1);
  CHECK(house.service->statements("arn:aws:s3:::b").empty());
  model::RemovePermissionRequest drop;
  drop.set_function_name("f").set_statement_id("never");
  CHECK(house.refused("RemovePermission", drop) ==
        "ResourceNotFoundException 404: Statement never is not found in resource policy.");
  drop.set_statement_id("s3");
  house.done("RemovePermission", drop);
  CHECK(house.service->statements(arn).empty());
}

TEST_CASE("a policy has a bound") {
  House house;
  house.create("f");
  std::string last;
  for (int i = 0; i < 200 && last.empty(); ++i) {
    model::AddPermissionRequest in;
    in.set_function_name("f").set_statement_id("s" + std::to_string(i)).set_principal("*");
    in.set_action("lambda:InvokeFunction");
    std::string refused = house.refused("AddPermission", in);
    if (refused != "accepted") last = refused;
  }
  CHECK(last.starts_with("PolicyLengthExceededException 400: The final policy size ("));
}

TEST_CASE("concurrency is reserved within the account") {
  House house;
  house.create("f");
  house.create("g");
  model::PutFunctionConcurrencyRequest in;
  in.set_function_name("f").set_reserved_concurrent_executions(900);
  house.done("PutFunctionConcurrency", in);
  model::PutFunctionConcurrencyRequest more;
  more.set_function_name("g").set_reserved_concurrent_executions(1);
  CHECK(house.refused("PutFunctionConcurrency", more) ==
        "InvalidParameterValueException 400: Specified ReservedConcurrentExecutions for function "
        "decreases account's UnreservedConcurrentExecution below its minimum value of [100].");
  more.set_reserved_concurrent_executions(0);
  house.done("PutFunctionConcurrency", more);
  auto settings = house.ok<model::GetAccountSettingsResponse>("GetAccountSettings",
                                                              model::GetAccountSettingsRequest());
  CHECK(*settings.account_limit()->unreserved_concurrent_executions() == 100);
  CHECK(*settings.account_usage()->function_count() == 2);
  CHECK(*settings.account_usage()->total_code_size() ==
        static_cast<std::int64_t>(2 * House::zip().size()));
  model::InvocationRequest call;
  call.set_function_name("f");
  house.done("Invoke", call);
  CHECK(house.invoker.runnables.back().reserved_concurrency == 900);
  model::DeleteFunctionConcurrencyRequest drop;
  drop.set_function_name("f");
  house.done("DeleteFunctionConcurrency", drop);
  model::GetFunctionConcurrencyRequest get;
  get.set_function_name("f");
  CHECK_FALSE(house.ok<model::GetFunctionConcurrencyResponse>("GetFunctionConcurrency", get)
                  .reserved_concurrent_executions());
  // What was prepared for warm calls is forgotten by a change.
  house.done("Invoke", call);
  CHECK_FALSE(house.invoker.runnables.back().reserved_concurrency);
}

TEST_CASE("asynchronous settings") {
  House house;
  house.create("f");
  model::GetFunctionEventInvokeConfigRequest get;
  get.set_function_name("f");
  CHECK(house.refused("GetFunctionEventInvokeConfig", get) ==
        "ResourceNotFoundException 404: The function " + arn +
            ":$LATEST doesn't have an EventInvokeConfig");
  model::PutFunctionEventInvokeConfigRequest put;
  put.set_function_name("f");
  CHECK(house.refused("PutFunctionEventInvokeConfig", put) ==
        "InvalidParameterValueException 400: You must specify at least one of error handling or "
        "destination setting.");
  put.set_maximum_retry_attempts(1);
  auto made = house.ok<model::FunctionEventInvokeConfig>("PutFunctionEventInvokeConfig", put);
  CHECK(*made.function_arn() == arn + ":$LATEST");
  CHECK(*made.last_modified() == 1767225600);
  model::UpdateFunctionEventInvokeConfigRequest update;
  update.set_function_name("f").set_maximum_event_age_in_seconds(100);
  auto updated =
      house.ok<model::FunctionEventInvokeConfig>("UpdateFunctionEventInvokeConfig", update);
  CHECK(*updated.maximum_retry_attempts() == 1);
  CHECK(*updated.maximum_event_age_in_seconds() == 100);
  model::OnFailure failure;
  failure.set_destination("arn:aws:sqs:us-east-1:000000000000:q");
  model::DestinationConfig destinations;
  put.set_destination_config(destinations.set_on_failure(failure));
  CHECK(house.refused("PutFunctionEventInvokeConfig", put)
            .starts_with("InvalidParameterValueException 400: The destination ARN "
                         "arn:aws:sqs:us-east-1:000000000000:q is invalid"));
  model::ListFunctionEventInvokeConfigsRequest list;
  list.set_function_name("f");
  CHECK(
      house
          .ok<model::ListFunctionEventInvokeConfigsResponse>("ListFunctionEventInvokeConfigs", list)
          .function_event_invoke_configs()
          .size() == 1);
  model::DeleteFunctionEventInvokeConfigRequest drop;
  drop.set_function_name("f");
  house.done("DeleteFunctionEventInvokeConfig", drop);
  CHECK(house.refused("DeleteFunctionEventInvokeConfig", drop)
            .starts_with("ResourceNotFoundException 404"));
}

model::PublishLayerVersionRequest layer(const std::string& text) {
  model::LayerVersionContentInput content;
  content.set_zip_file(House::zip(text));
  model::PublishLayerVersionRequest in;
  in.set_layer_name("l").set_content(content).set_description(text);
  in.set_compatible_runtimes({"nodejs20.x"});
  return in;
}

TEST_CASE("layers are published, listed, used and deleted") {
  House house;
  const std::string family = "arn:aws:lambda:us-east-1:000000000000:layer:l";
  auto one = house.ok<model::PublishLayerVersionResponse>("PublishLayerVersion", layer("one"));
  CHECK(*one.layer_version_arn() == family + ":1");
  CHECK(*one.layer_arn() == family);
  CHECK(one.content()->code_sha256()->size() == 44);
  house.done("PublishLayerVersion", layer("two"));
  auto in = House::request("f");
  in.set_layers({family + ":1", family + ":2"});
  CHECK(house.refused("CreateFunction", in)
            .find("Two different versions of the same layer are not allowed") != std::string::npos);
  in.set_layers({family + ":2"});
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", in);
  CHECK(*made.layers().at(0).arn() == family + ":2");
  model::InvocationRequest call;
  call.set_function_name("f");
  house.done("Invoke", call);
  CHECK(std::filesystem::exists(house.invoker.runnables.at(0).layers_dir / "index.js"));
  model::ListLayerVersionsRequest versions;
  versions.set_layer_name("l").set_max_items(1);
  auto page = house.ok<model::ListLayerVersionsResponse>("ListLayerVersions", versions);
  CHECK(*page.layer_versions().at(0).version() == 2);
  versions.set_marker(std::string(*page.next_marker()));
  page = house.ok<model::ListLayerVersionsResponse>("ListLayerVersions", versions);
  CHECK(*page.layer_versions().at(0).version() == 1);
  CHECK_FALSE(page.next_marker());
  model::ListLayersRequest layers;
  layers.set_compatible_runtime("nodejs20.x");
  auto listed = house.ok<model::ListLayersResponse>("ListLayers", layers).layers();
  REQUIRE(listed.size() == 1);
  CHECK(*listed[0].latest_matching_version()->version() == 2);
  layers.set_compatible_runtime("python3.11");
  CHECK(house.ok<model::ListLayersResponse>("ListLayers", layers).layers().empty());
  model::GetLayerVersionByArnRequest by_arn;
  by_arn.set_arn(family + ":1");
  CHECK(*house.ok<model::GetLayerVersionResponse>("GetLayerVersionByArn", by_arn).description() ==
        "one");
  model::DeleteLayerVersionRequest drop;
  drop.set_layer_name("l").set_version_number(2);
  house.done("DeleteLayerVersion", drop);
  house.done("DeleteLayerVersion", drop);
  model::GetLayerVersionRequest get;
  get.set_layer_name("l").set_version_number(2);
  CHECK(house.refused("GetLayerVersion", get) ==
        "ResourceNotFoundException 404: The resource you requested does not exist.");
  house.done("Invoke", call);  // the function keeps it
  CHECK(
      *house.ok<model::PublishLayerVersionResponse>("PublishLayerVersion", layer("3")).version() ==
      3);
}

TEST_CASE("layers have policies") {
  House house;
  house.done("PublishLayerVersion", layer("one"));
  const std::string one = "arn:aws:lambda:us-east-1:000000000000:layer:l:1";
  model::AddLayerVersionPermissionRequest in;
  in.set_layer_name("l").set_version_number(1).set_statement_id("s").set_principal("*");
  in.set_action("lambda:GetLayerVersion").set_organization_id("o-abcdefghij");
  auto added = house.ok<model::AddLayerVersionPermissionResponse>("AddLayerVersionPermission", in);
  CHECK(*added.statement() ==
        "{\"Sid\":\"s\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":"
        "\"lambda:GetLayerVersion\",\"Resource\":\"" +
            one + "\",\"Condition\":{\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-abcdefghij\"}}}");
  CHECK(
      house.refused("AddLayerVersionPermission", in).starts_with("ResourceConflictException 409"));
  CHECK(house.service->statements(one).size() == 1);
  model::RemoveLayerVersionPermissionRequest drop;
  drop.set_layer_name("l").set_version_number(1).set_statement_id("s").set_revision_id("stale");
  CHECK(house.refused("RemoveLayerVersionPermission", drop)
            .starts_with("PreconditionFailedException 412"));
  drop.set_revision_id(std::string(*added.revision_id()));
  house.done("RemoveLayerVersionPermission", drop);
  model::GetLayerVersionPolicyRequest get;
  get.set_layer_name("l").set_version_number(1);
  CHECK(house.refused("GetLayerVersionPolicy", get).starts_with("ResourceNotFoundException 404"));
  // Another account's function may use the layer only where the policy lets it.
  house.scope.account = AccountId("111111111111");
  auto function = House::request("f");
  function.set_role("arn:aws:iam::111111111111:role/r").set_layers({one});
  house.guard.decision = {false, "no"};
  CHECK(house.refused("CreateFunction", function) == "AccessDeniedException 403: no");
  house.guard.decision = {true, ""};
  house.done("CreateFunction", function);
}

TEST_CASE("every row has a handler of this service or is left to the not-implemented answer") {
  House house;
  CHECK(model::model.operations.size() == 85);
  CHECK(house.operations.handlers.size() == 71);
  for (const auto& [name, handler] : house.operations.handlers) {
    CHECK(std::ranges::any_of(model::model.operations,
                              [&name](const auto& row) { return row.name == name; }));
  }
}

}  // namespace
}  // namespace mayfly::lambda::test
