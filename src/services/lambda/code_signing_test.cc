#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

const std::string profile =
    "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release/AbCdEfGhIj";
const std::string missing =
    "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdefg";
const std::string untrusted = "CodeVerificationFailedException 400";

model::AllowedPublishers publishers(std::vector<std::string> arns) {
  model::AllowedPublishers out;
  out.set_signing_profile_version_arns(std::move(arns));
  return out;
}

model::CodeSigningPolicies policies(const std::string& policy) {
  model::CodeSigningPolicies out;
  out.set_untrusted_artifact_on_deployment(policy);
  return out;
}

model::CodeSigningConfig make(House& house, const std::string& policy = "") {
  model::CreateCodeSigningConfigRequest in;
  in.set_allowed_publishers(publishers({profile})).set_description("of the release");
  if (!policy.empty()) in.set_code_signing_policies(policies(policy));
  return *house.ok<model::CreateCodeSigningConfigResponse>("CreateCodeSigningConfig", std::move(in))
              .code_signing_config();
}

model::CreateFunctionRequest with_config(const std::string& name, std::string_view arn) {
  auto in = House::request(name);
  in.set_code_signing_config_arn(std::string(arn));
  return in;
}

template <class In>
In by_arn(std::string_view arn) {
  In in;
  in.set_code_signing_config_arn(std::string(arn));
  return in;
}

template <class In>
In of_function(const std::string& name) {
  In in;
  in.set_function_name(name);
  return in;
}

model::UpdateFunctionCodeRequest new_code(const std::string& name) {
  model::UpdateFunctionCodeRequest in;
  in.set_function_name(name).set_zip_file(House::zip("exports.handler = 2"));
  return in;
}

TEST_CASE("a code signing configuration is made, changed, read after a restart, removed") {
  House house;
  auto made = make(house);
  std::string arn(*made.code_signing_config_arn());
  std::string id(*made.code_signing_config_id());
  CHECK(id.size() == 21);
  CHECK(id.starts_with("csc-"));
  CHECK(arn == "arn:aws:lambda:us-east-1:000000000000:code-signing-config:" + id);
  CHECK(*made.description() == "of the release");
  CHECK(*made.last_modified() == "2026-01-01T00:00:00.000+0000");
  CHECK(*made.code_signing_policies()->untrusted_artifact_on_deployment() == "Warn");

  house.clock.advance(std::chrono::seconds(1));
  auto change = by_arn<model::UpdateCodeSigningConfigRequest>(arn);
  change.set_code_signing_policies(policies("Enforce"));
  house.done("UpdateCodeSigningConfig", change);
  house.stop();
  house.start();
  auto get = by_arn<model::GetCodeSigningConfigRequest>(arn);
  auto read = *house.ok<model::GetCodeSigningConfigResponse>("GetCodeSigningConfig", get)
                   .code_signing_config();
  CHECK(*read.code_signing_policies()->untrusted_artifact_on_deployment() == "Enforce");
  CHECK(*read.description() == "of the release");
  CHECK(read.allowed_publishers()->signing_profile_version_arns() ==
        std::vector<std::string_view>{profile});
  CHECK(*read.last_modified() == "2026-01-01T00:00:01.000+0000");

  auto remove = by_arn<model::DeleteCodeSigningConfigRequest>(arn);
  house.done("DeleteCodeSigningConfig", remove);
  CHECK(house.refused("GetCodeSigningConfig", get).starts_with("ResourceNotFoundException 404"));
  CHECK(house.refused("DeleteCodeSigningConfig", remove)
            .starts_with("ResourceNotFoundException 404"));
}

TEST_CASE("publishers are versions of signing profiles") {
  House house;
  model::CreateCodeSigningConfigRequest in;
  std::string unversioned = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release";
  for (const std::string& arn : {std::string("arn:aws:s3:::bucket"), unversioned}) {
    in.set_allowed_publishers(publishers({profile, arn}));
    CHECK(house.refused("CreateCodeSigningConfig", in)
              .starts_with("InvalidParameterValueException 400: " + arn));
  }
  auto made = make(house);
  auto change = by_arn<model::UpdateCodeSigningConfigRequest>(*made.code_signing_config_arn());
  change.set_allowed_publishers(publishers({unversioned}));
  CHECK(house.refused("UpdateCodeSigningConfig", change)
            .starts_with("InvalidParameterValueException"));
}

TEST_CASE("Enforce refuses code and layers, Warn lets them pass and tells") {
  House house;
  std::string enforce(*make(house, "Enforce").code_signing_config_arn());
  std::string warn(*make(house, "Warn").code_signing_config_arn());
  CHECK(house.refused("CreateFunction", with_config("f", enforce)).starts_with(untrusted));
  CHECK_FALSE(house.registry->find(home, FunctionName("f")));
  house.done("CreateFunction", with_config("f", warn));
  house.done("UpdateFunctionCode", new_code("f"));
  CHECK(house.unsigned_deployed == std::vector<std::string>{"f Enforce", "f Warn", "f Warn"});

  model::PutFunctionCodeSigningConfigRequest put;
  put.set_function_name("f").set_code_signing_config_arn(enforce);
  auto answer =
      house.ok<model::PutFunctionCodeSigningConfigResponse>("PutFunctionCodeSigningConfig", put);
  CHECK(*answer.code_signing_config_arn() == enforce);
  CHECK(*answer.function_name() == "f");
  CHECK(house.refused("UpdateFunctionCode", new_code("f")).starts_with(untrusted));
  model::PublishLayerVersionRequest layer;
  model::LayerVersionContentInput content;
  content.set_zip_file(House::zip());
  layer.set_layer_name("l").set_content(content);
  house.done("PublishLayerVersion", layer);
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_timeout(5);
  house.done("UpdateFunctionConfiguration", change);
  change.set_layers({"arn:aws:lambda:us-east-1:000000000000:layer:l:1"});
  CHECK(house.refused("UpdateFunctionConfiguration", change).starts_with(untrusted));
}

TEST_CASE("a configuration in use stays, and says by whom it is used") {
  House house;
  std::string arn(*make(house).code_signing_config_arn());
  auto read = of_function<model::GetFunctionCodeSigningConfigRequest>("a");
  house.done("CreateFunction", with_config("a", arn));
  house.done("CreateFunction", with_config("b", arn));
  house.create("c");
  house.stop();
  house.start();
  auto got =
      house.ok<model::GetFunctionCodeSigningConfigResponse>("GetFunctionCodeSigningConfig", read);
  CHECK(*got.code_signing_config_arn() == arn);
  auto list = by_arn<model::ListFunctionsByCodeSigningConfigRequest>(arn);
  list.set_max_items(1);
  using Listed = model::ListFunctionsByCodeSigningConfigResponse;
  auto page = house.ok<Listed>("ListFunctionsByCodeSigningConfig", list);
  CHECK(page.function_arns() ==
        std::vector<std::string_view>{"arn:aws:lambda:us-east-1:000000000000:function:a"});
  REQUIRE(page.next_marker());
  list.set_marker(std::string(*page.next_marker()));
  page = house.ok<Listed>("ListFunctionsByCodeSigningConfig", list);
  CHECK(page.function_arns() ==
        std::vector<std::string_view>{"arn:aws:lambda:us-east-1:000000000000:function:b"});
  CHECK_FALSE(page.next_marker());

  auto remove = by_arn<model::DeleteCodeSigningConfigRequest>(arn);
  CHECK(house.refused("DeleteCodeSigningConfig", remove)
            .starts_with("ResourceConflictException 409"));
  house.done("DeleteFunctionCodeSigningConfig",
             of_function<model::DeleteFunctionCodeSigningConfigRequest>("a"));
  got = house.ok<model::GetFunctionCodeSigningConfigResponse>("GetFunctionCodeSigningConfig", read);
  CHECK(*got.code_signing_config_arn() == "");
  CHECK(house.refused("DeleteCodeSigningConfig", remove)
            .starts_with("ResourceConflictException 409"));
  house.done("DeleteFunction", of_function<model::DeleteFunctionRequest>("b"));
  house.done("DeleteCodeSigningConfig", remove);
}

TEST_CASE("a configuration that is being given to a function is not removed") {
  House house;
  std::string arn(*make(house).code_signing_config_arn());
  std::string id = arn.substr(arn.rfind(':') + 1);
  auto& configs = house.registry->code_signing();
  auto remove = by_arn<model::DeleteCodeSigningConfigRequest>(arn);
  {
    functions::CodeSigningConfigs::Hold hold(configs, home, id);
    CHECK(house.refused("DeleteCodeSigningConfig", remove).starts_with("ResourceConflict"));
  }
  house.done("DeleteCodeSigningConfig", remove);
}

TEST_CASE("a configuration that is not there is named as such") {
  House house;
  house.create("f");
  CHECK(house.refused("CreateFunction", with_config("g", missing))
            .starts_with("CodeSigningConfigNotFoundException 404"));
  model::PutFunctionCodeSigningConfigRequest put;
  put.set_function_name("f").set_code_signing_config_arn(missing);
  CHECK(house.refused("PutFunctionCodeSigningConfig", put)
            .starts_with("CodeSigningConfigNotFoundException 404"));
  auto list = by_arn<model::ListFunctionsByCodeSigningConfigRequest>(missing);
  CHECK(house.refused("ListFunctionsByCodeSigningConfig", list)
            .starts_with("ResourceNotFoundException 404"));
  // One of another region is none of this one.
  std::string arn(*make(house).code_signing_config_arn());
  house.scope.region = Region("eu-west-1");
  CHECK(house.refused("GetCodeSigningConfig", by_arn<model::GetCodeSigningConfigRequest>(arn))
            .starts_with("ResourceNotFoundException 404"));
  auto none = house.ok<model::ListCodeSigningConfigsResponse>(
      "ListCodeSigningConfigs", model::ListCodeSigningConfigsRequest());
  CHECK(none.code_signing_configs().empty());
}

TEST_CASE("code signing configurations have tags") {
  House house;
  std::string arn(*make(house).code_signing_config_arn());
  model::TagResourceRequest tag;
  tag.set_resource(arn).set_tags({{"team", "a"}, {"stage", "b"}});
  house.done("TagResource", tag);
  model::UntagResourceRequest untag;
  untag.set_resource(arn).set_tag_keys({"stage"});
  house.done("UntagResource", untag);
  model::ListTagsRequest list;
  list.set_resource(arn);
  CHECK(house.ok<model::ListTagsResponse>("ListTags", list).tags().size() == 1);
  list.set_resource(missing);
  CHECK(house.refused("ListTags", list).starts_with("ResourceNotFoundException 404"));
}

}  // namespace
}  // namespace mayfly::lambda::test
