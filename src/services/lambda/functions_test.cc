#include "base/limits.h"
#include "services/lambda/fixture_test.h"

namespace mayfly::lambda::test {
namespace {

const std::string arn = "arn:aws:lambda:us-east-1:000000000000:function:f";

TEST_CASE("a function is made, becomes active, and is read back") {
  House house;
  house.settle_after_calls = false;
  auto made = house.create("f");
  CHECK(*made.function_arn() == arn);
  CHECK(*made.state() == "Pending");
  CHECK(*made.state_reason() == "The function is being created.");
  CHECK(*made.state_reason_code() == "Creating");
  CHECK_FALSE(made.last_update_status());
  CHECK(*made.version() == "$LATEST");
  CHECK(*made.last_modified() == "2026-01-01T00:00:00.000+0000");
  CHECK(*made.memory_size() == 128);
  CHECK(*made.timeout() == 3);
  CHECK(*made.ephemeral_storage()->size() == 512);
  CHECK(*made.logging_config()->log_group() == "/aws/lambda/f");
  CHECK(*made.tracing_config()->mode() == "PassThrough");
  CHECK(*made.snap_start()->apply_on() == "None");
  CHECK(made.code_sha256()->size() == 44);
  CHECK(made.architectures() == std::vector<std::string_view>{"x86_64"});
  house.settle();
  model::GetFunctionRequest get;
  get.set_function_name("f");
  auto read = house.ok<model::GetFunctionResponse>("GetFunction", get);
  auto config = *read.configuration();
  CHECK(*config.state() == "Active");
  CHECK_FALSE(config.state_reason());
  CHECK(*config.last_update_status() == "Successful");
  CHECK(*config.revision_id() != *made.revision_id());
  CHECK(*read.code()->repository_type() == "S3");
  CHECK_FALSE(read.has_tags());
  CHECK_FALSE(read.has_concurrency());
}

TEST_CASE("a link to the code gives the zip until it expires") {
  House house;
  house.create("f");
  model::GetFunctionRequest get;
  get.set_function_name("f");
  auto read = house.ok<model::GetFunctionResponse>("GetFunction", get);
  std::string link(*read.code()->location());
  std::string prefix = "http://localhost:4566";
  REQUIRE(link.starts_with(prefix + "/_mayfly/code/"));
  RawRequest request;
  request.method = "GET";
  request.path = link.substr(prefix.size(), link.find('?') - prefix.size());
  request.query = link.substr(link.find('?') + 1);
  auto answer = house.loop.run_until(house.service->serve_code(request));
  CHECK(answer.status == 200);
  CHECK(answer.body == House::zip());
  RawRequest forged = request;
  forged.query.back() = forged.query.back() == '0' ? '1' : '0';
  CHECK(house.loop.run_until(house.service->serve_code(forged)).status == 403);
  forged.query = "";
  CHECK(house.loop.run_until(house.service->serve_code(forged)).status == 403);
  house.clock.advance(std::chrono::minutes(11));
  CHECK(house.loop.run_until(house.service->serve_code(request)).status == 403);
}

struct Refusal {
  std::function<void(model::CreateFunctionRequest&)> spoil;
  std::string text;
};

model::Environment environment(const std::string& key, const std::string& value) {
  model::Environment out;
  out.set_variables({{key, value}});
  return out;
}

std::vector<Refusal> input_refusals() {
  using In = model::CreateFunctionRequest;
  auto code = [](const std::string& zip) {
    return [zip](In& in) {
      model::FunctionCode code;
      code.set_zip_file(zip);
      in.set_code(code);
    };
  };
  const std::string invalid = "InvalidParameterValueException 400: ";
  return {
      {code("no zip"), invalid +
                           "Could not unzip uploaded file. Please check your file, then try to "
                           "upload again."},
      {code(""), invalid + "Uploaded file must be a non-empty zip"},
      {[](In& in) { in.set_code(model::FunctionCode()); },
       invalid + "Please provide a source for function code."},
      {[](In& in) { in.set_handler(""); },
       invalid +
           "Runtime and Handler are mandatory parameters for functions created with deployment "
           "packages."},
      {[](In& in) { in.set_role("arn:aws:iam::111111111111:role/r"); },
       invalid + "Cross-account pass role is not allowed."},
      {[](In& in) { in.set_package_type("Image"); },
       invalid + "Please don't provide Handler or Runtime or Layer when the intended function "
                 "PackageType is Image."},
      {[](In& in) { in.set_architectures({"arm64"}); },
       invalid + "Architecture arm64 cannot run on this machine, which runs x86_64."},
      {[](In& in) { in.set_timeout(901); },
       "ValidationException 400: 1 validation error detected: Value '901' at 'timeout' failed to "
       "satisfy constraint: Member must have value less than or equal to 900"},
      {[](In& in) { in.set_memory_size(10241); },
       "ValidationException 400: 1 validation error detected: Value '10241' at 'memorySize' failed "
       "to "
       "satisfy constraint: Member must have value less than or equal to 10240"},
      {[](In& in) { in.set_environment(environment("AWS_REGION", "x")); },
       invalid +
           "Lambda was unable to configure your environment variables because the environment "
           "variables you have provided contains reserved keys that are currently not supported "
           "for modification. Reserved keys used in this request: AWS_REGION"},
      {[](In& in) { in.set_layers({"arn:aws:lambda:us-east-1:000000000000:layer:l:1"}); },
       invalid + "Layer version arn:aws:lambda:us-east-1:000000000000:layer:l:1 does not exist."},
      {[](In& in) { in.set_layers({"arn:aws:lambda:eu-west-1:000000000000:layer:l:1"}); },
       invalid + "Layers are not in the same region as the function. Layers are expected to be in "
                 "region us-east-1."},
      {[](In& in) { in.set_layers({"a", "b", "c", "d", "e", "f"}); },
       invalid + "Cannot reference more than 5 layers."},
  };
}

// What the cloud has and this server has not yet; and the limits of the model.
std::vector<Refusal> unbuilt_refusals() {
  using In = model::CreateFunctionRequest;
  return {
      {[](In& in) { in.set_function_name(std::string(65, 'f')); },
       "ValidationException 400: 1 validation error detected: Value '" + std::string(65, 'f') +
           "' at 'functionName' failed to satisfy constraint: Member must have length less than or "
           "equal to 64"},
      {[](In& in) {
         model::SnapStart snap;
         in.set_snap_start(snap.set_apply_on("PublishedVersions"));
       },
       "InvalidParameterValueException 400: nodejs20.x is not supported for SnapStart enabled "
       "functions."},
      {[](In& in) {
         model::TracingConfig tracing;
         in.set_tracing_config(tracing.set_mode("Active"));
       },
       "NotImplementedException 501: TracingConfig.Mode Active is not implemented by this server "
       "yet."},
      {[](In& in) {
         model::FileSystemConfig files;
         files.set_local_mount_path("/mnt/x").set_arn("arn:aws:elasticfilesystem:us-east-1:1:x");
         in.set_file_system_configs({files});
       },
       "InvalidParameterValueException 400: 'arn:aws:elasticfilesystem:us-east-1:1:x' names no "
       "access point of an elastic file system"},
      {[](In& in) {
         model::FileSystemConfig files;
         files.set_local_mount_path("/mnt/x").set_arn(
             "arn:aws:elasticfilesystem:us-east-1:999999999999:access-point/"
             "fsap-0123456789abcdef0");
         in.set_file_system_configs({files});
       },
       "InvalidParameterValueException 400: The access point must be in the account and region of "
       "the function."},
      {[](In& in) {
         model::FileSystemConfig files;
         files.set_local_mount_path("/mnt/x").set_arn(
             "arn:aws:s3files:us-east-1:000000000000:file-system/fs-0123456789abcdef0/"
             "access-point/fsap-0123456789abcdef0");
         in.set_file_system_configs({files});
       },
       "NotImplementedException 501: an S3 Files access point is not implemented by this server "
       "yet."},
      {[](In& in) {
         model::VpcConfig vpc;
         in.set_vpc_config(vpc.set_subnet_ids({"subnet-1"}));
       },
       "NotImplementedException 501: VpcConfig is not implemented by this server yet."},
  };
}

TEST_CASE("CreateFunction refuses in the cloud's words and keeps nothing") {
  House house;
  for (const auto& refusals : {input_refusals(), unbuilt_refusals()}) {
    for (const auto& refusal : refusals) {
      auto in = House::request("f");
      refusal.spoil(in);
      CHECK(house.refused("CreateFunction", in) == refusal.text);
    }
  }
  CHECK(house.registry->count() == 0);
  house.create("f");
  CHECK(house.refused("CreateFunction", House::request("f")) ==
        "ResourceConflictException 409: Function already exist: f");
}

TEST_CASE("the environment's bound is 4 KB of JSON") {
  House house;
  auto in = House::request("f");
  // {"K":"…"} is 8 bytes beside the value.
  in.set_environment(environment("K", std::string(limits::environment_bytes - 8 + 1, 'v')));
  std::string refused = house.refused("CreateFunction", in);
  CHECK(refused.find("exceeded the 4KB limit. String measured: {\"K\":\"vvv") != std::string::npos);
  in = House::request("f");
  in.set_environment(environment("K", std::string(limits::environment_bytes - 8, 'v')));
  CHECK(house.ok<model::FunctionConfiguration>("CreateFunction", in)
            .environment()
            ->variables()
            .size() == 1);
}

TEST_CASE("a zip over 50 MiB is refused before it is opened") {
  House house;
  auto in = House::request("f");
  model::FunctionCode code;
  code.set_zip_file(std::string(limits::package_zip_bytes + 1, 'x'));
  in.set_code(code);
  CHECK(house.refused("CreateFunction", in) ==
        "RequestTooLargeException 413: Request must be smaller than 69905067 bytes for the "
        "CreateFunction operation");
}

TEST_CASE("empty parts that deploy tools send are no demands") {
  House house;
  auto in = House::request("f");
  in.set_vpc_config(model::VpcConfig()).set_dead_letter_config(model::DeadLetterConfig());
  model::TracingConfig tracing;
  model::SnapStart snap;
  in.set_tracing_config(tracing.set_mode("PassThrough")).set_snap_start(snap.set_apply_on("None"));
  in.set_kms_key_arn("");
  CHECK(*house.ok<model::FunctionConfiguration>("CreateFunction", in).state() == "Pending");
}

TEST_CASE("names have many forms") {
  House house;
  house.create("f");
  model::GetFunctionConfigurationRequest get;
  auto read = [&](const std::string& name) {
    get.set_function_name(name);
    return house.refused("GetFunctionConfiguration", get);
  };
  CHECK(read("f") == "accepted");
  CHECK(read("f:$LATEST") == "accepted");
  CHECK(read("000000000000:function:f") == "accepted");
  CHECK(read(arn) == "accepted");
  CHECK(read(arn + ":$LATEST") == "accepted");
  CHECK(read("g") ==
        "ResourceNotFoundException 404: Function not found: "
        "arn:aws:lambda:us-east-1:000000000000:function:g");
  CHECK(read("f:7") == "ResourceNotFoundException 404: Function not found: " + arn + ":7");
  CHECK(
      read("arn:aws:lambda:eu-west-1:000000000000:function:f") ==
      "ResourceNotFoundException 404: Functions from 'eu-west-1' are not reachable in this region "
      "('us-east-1')");
  get.set_qualifier("live");
  CHECK(read("f:$LATEST") ==
        "InvalidParameterValueException 400: The derived qualifier from the function name does not "
        "match the specified qualifier.");
  // Another account's function is asked for at its resource policy.
  model::GetFunctionConfigurationRequest other;
  other.set_function_name("arn:aws:lambda:us-east-1:111111111111:function:f");
  house.guard.decision = {false, "no resource policy allows it"};
  CHECK(house.refused("GetFunctionConfiguration", other) ==
        "AccessDeniedException 403: no resource policy allows it");
  CHECK(house.guard.asked.back() ==
        "lambda:GetFunctionConfiguration arn:aws:lambda:us-east-1:111111111111:function:f");
}

TEST_CASE("accounts and regions are apart") {
  House house;
  house.create("f");
  house.scope = {AccountId("111111111111"), Region("us-east-1")};
  model::GetFunctionRequest get;
  get.set_function_name("f");
  CHECK(house.refused("GetFunction", get).starts_with("ResourceNotFoundException 404"));
  CHECK(house.ok<model::ListFunctionsResponse>("ListFunctions", model::ListFunctionsRequest())
            .functions()
            .empty());
}

TEST_CASE("new code") {
  House house;
  auto made = house.create("f");
  model::UpdateFunctionCodeRequest in;
  in.set_function_name("f").set_zip_file(House::zip("second")).set_revision_id("stale");
  CHECK(house.refused("UpdateFunctionCode", in) ==
        "PreconditionFailedException 412: The Revision Id provided does not match the latest "
        "Revision "
        "Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id");
  model::UpdateFunctionCodeRequest good;
  good.set_function_name("f").set_zip_file(House::zip("second")).set_dry_run(true);
  auto tried = house.ok<model::FunctionConfiguration>("UpdateFunctionCode", good);
  CHECK(*tried.code_sha256() != *made.code_sha256());
  model::GetFunctionConfigurationRequest get;
  get.set_function_name("f");
  CHECK(*house.ok<model::FunctionConfiguration>("GetFunctionConfiguration", get).code_sha256() ==
        *made.code_sha256());
  house.settle_after_calls = false;
  good.set_dry_run(false);
  auto updated = house.ok<model::FunctionConfiguration>("UpdateFunctionCode", good);
  CHECK(*updated.state() == "Active");
  CHECK(*updated.last_update_status() == "InProgress");
  CHECK(*updated.last_update_status_reason_code() == "Creating");
  CHECK(
      house.refused("UpdateFunctionCode", good) ==
      "ResourceConflictException 409: The operation cannot be performed at this time. An update is "
      "in progress for resource: " +
          arn);
  house.settle();
  auto read = house.ok<model::FunctionConfiguration>("GetFunctionConfiguration", get);
  CHECK(*read.last_update_status() == "Successful");
  CHECK(*read.code_sha256() == *tried.code_sha256());
  good.set_publish(true).set_zip_file(House::zip("third"));
  CHECK(*house.ok<model::FunctionConfiguration>("UpdateFunctionCode", good).version() == "1");
}

TEST_CASE("new configuration keeps what it does not name") {
  House house;
  auto in = House::request("f");
  in.set_environment(environment("K", "v")).set_timeout(10);
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", in);
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_memory_size(256);
  auto updated = house.ok<model::FunctionConfiguration>("UpdateFunctionConfiguration", change);
  CHECK(*updated.memory_size() == 256);
  CHECK(*updated.timeout() == 10);
  CHECK(updated.environment()->variables().size() == 1);
  CHECK(*updated.config_sha256() != *made.config_sha256());
  model::UpdateFunctionConfigurationRequest clear;
  clear.set_function_name("f").set_environment(model::Environment());
  updated = house.ok<model::FunctionConfiguration>("UpdateFunctionConfiguration", clear);
  CHECK_FALSE(updated.has_environment());
  model::UpdateFunctionConfigurationRequest logs;
  model::LoggingConfig logging;
  logging.set_application_log_level("DEBUG");
  logs.set_function_name("f").set_logging_config(logging);
  CHECK(house.refused("UpdateFunctionConfiguration", logs)
            .find("LogLevel is not supported when LogFormat is set to Text") != std::string::npos);
  model::LoggingConfig json;
  json.set_log_format("JSON").set_application_log_level("DEBUG");
  logs.set_logging_config(json);
  updated = house.ok<model::FunctionConfiguration>("UpdateFunctionConfiguration", logs);
  CHECK(*updated.logging_config()->application_log_level() == "DEBUG");
  CHECK(*updated.logging_config()->system_log_level() == "INFO");
}

TEST_CASE("lists come in pages") {
  House house;
  for (int i = 0; i < 53; ++i) house.create(fmt::format("f{:02}", i));
  model::ListFunctionsRequest in;
  auto first = house.ok<model::ListFunctionsResponse>("ListFunctions", in);
  CHECK(first.functions().size() == 50);
  CHECK_FALSE(first.functions()[0].state());
  REQUIRE(first.next_marker());
  in.set_marker(std::string(*first.next_marker()));
  auto second = house.ok<model::ListFunctionsResponse>("ListFunctions", in);
  CHECK(second.functions().size() == 3);
  CHECK(*second.functions()[0].function_name() == "f50");
  CHECK_FALSE(second.next_marker());
  in.set_marker("not base64!");
  CHECK(house.refused("ListFunctions", in).starts_with("InvalidParameterValueException 400"));
}

TEST_CASE("FunctionVersion ALL lists every version, page by page") {
  House house;
  for (const char* name : {"a", "b"}) {
    house.create(name);
    house.publish(name, "one");
    house.publish(name, "two");
  }
  std::vector<std::string> arns;
  std::optional<std::string> marker;
  do {
    model::ListFunctionsRequest in;
    in.set_function_version("ALL").set_max_items(2);
    if (marker) in.set_marker(*marker);
    auto page = house.ok<model::ListFunctionsResponse>("ListFunctions", in);
    for (const auto& one : page.functions()) {
      arns.push_back(std::string(one.function_arn()->substr(arn.size() - 1)));
    }
    marker.reset();
    if (page.next_marker()) marker = *page.next_marker();
  } while (marker);
  CHECK(arns == std::vector<std::string>{"a:$LATEST", "a:1", "a:2", "b:$LATEST", "b:1", "b:2"});
}

TEST_CASE("functions and versions are deleted") {
  House house;
  house.create("f");
  CHECK(house.publish("f", "one") == "1");
  model::DeleteFunctionRequest in;
  in.set_function_name("f").set_qualifier("$LATEST");
  CHECK(
      house.refused("DeleteFunction", in) ==
      "InvalidParameterValueException 400: $LATEST version cannot be deleted without deleting the "
      "function.");
  in.set_qualifier("live");
  CHECK(house.refused("DeleteFunction", in) ==
        "InvalidParameterValueException 400: Deletion of aliases is not currently supported.");
  in.set_qualifier("1");
  house.done("DeleteFunction", in);
  CHECK(house.publish("f", "two") == "2");
  model::DeleteFunctionRequest whole;
  whole.set_function_name("f");
  house.done("DeleteFunction", whole);
  CHECK(house.registry->count() == 0);
  CHECK(house.invoker.retired == std::vector<std::string>{"000000000000/us-east-1/f"});
  CHECK(house.refused("DeleteFunction", whole) ==
        "ResourceNotFoundException 404: Function not found: " + arn);
}

TEST_CASE("what a crash left pending settles at the next start") {
  House house;
  house.settle_after_calls = false;
  auto in = House::request("f");
  auto answer = house.call("CreateFunction", std::move(in).take());
  REQUIRE(answer);
  house.stop();
  house.start();
  house.settle();
  CHECK(house.registry->find(home, FunctionName("f"))->latest.state == functions::State::active);
}

TEST_CASE("a runtime that cannot run is refused, one that is mapped says so") {
  House house([](std::string_view identifier) -> Result<std::string> {
    if (identifier == "ruby3.4") return fail(ErrorKind::invalid, "ruby3.4 is not on this machine");
    return identifier == "nodejs24.x" ? "nodejs24.x runs on nodejs20.x" : "";
  });
  auto wanted = House::request("f");
  wanted.set_runtime("ruby3.4");
  CHECK(house.refused("CreateFunction", wanted) ==
        "InvalidParameterValueException 400: ruby3.4 is not on this machine");
  CHECK_FALSE(house.create("f").runtime_version_config()->has_error());
  model::UpdateFunctionConfigurationRequest change;
  change.set_function_name("f").set_runtime("ruby3.4");
  CHECK(house.refused("UpdateFunctionConfiguration", change).starts_with("InvalidParameterValue"));
  change = {};
  change.set_function_name("f").set_runtime("nodejs24.x");
  auto mapped = house.ok<model::FunctionConfiguration>("UpdateFunctionConfiguration", change);
  CHECK(*mapped.runtime_version_config()->error()->message() == "nodejs24.x runs on nodejs20.x");
}

}  // namespace
}  // namespace mayfly::lambda::test
