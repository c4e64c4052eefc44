// Functions of container images, and the endpoint that brings images in.
#include "services/lambda/fixture_test.h"
#include "sim/image_maker.h"
#include "wire/json.h"

namespace mayfly::lambda::test {
namespace {

namespace fs = std::filesystem;

const std::string invalid = "InvalidParameterValueException 400: ";
const std::string no_zip =
    invalid +
    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is "
    "Image.";

struct ImageHouse : House {
  ImageHouse() { guard.caller = api::Caller{}; }
  // An OCI layout below the data folder; answers the digest.
  std::string layout(const std::string& name, const std::string& text = "hello") const {
    sim::LayerMaker layer;
    layer.file("app", text, 0755);
    sim::ImageMaker image;
    image.platform("linux", std::string(functions::go_architecture(machine())));
    image.layer(sim::plain_layer(layer))
        .config(R"({"Entrypoint":["/app"],"Cmd":["x"],"Env":["A=1"],"WorkingDir":"/w"})");
    return image.write_oci(dir / name);
  }
  static std::string_view machine() {
#if defined(__aarch64__)
    return "aarch64";
#else
    return "x86_64";
#endif
  }
  RawResponse ask(std::string method, std::string body = {}, std::string query = {}) {
    RawRequest request;
    request.method = std::move(method);
    request.path = "/_mayfly/images";
    request.query = std::move(query);
    request.body = std::move(body);
    return loop.run_until(service->serve_images(std::move(request)));
  }
  wire::Json answered(const RawResponse& response) {
    INFO(response.body);
    REQUIRE(response.status == 200);
    return *wire::parse_json(response.body);
  }
  std::string bring(const std::string& name, const std::string& text = "hello") {
    std::string digest = layout("layout-" + text, text);
    answered(ask("POST", fmt::format(R"({{"path":"{}","name":"{}"}})",
                                     (dir / ("layout-" + text)).string(), name)));
    return digest;
  }
  static model::CreateFunctionRequest image_request(const std::string& uri) {
    model::CreateFunctionRequest in;
    model::FunctionCode code;
    code.set_image_uri(uri);
    in.set_function_name("f").set_package_type("Image").set_role(role).set_code(code);
    return in;
  }
  model::FunctionConfiguration create_image(const std::string& uri) {
    return ok<model::FunctionConfiguration>("CreateFunction", image_request(uri));
  }
  invoke::Runnable invoked() {
    model::InvocationRequest in;
    in.set_function_name("f");
    done("Invoke", in);
    return invoker.runnables.back();
  }
};

TEST_CASE("images are brought in, listed and removed by whoever runs the server") {
  ImageHouse house;
  std::string digest = house.bring("app:1");
  auto list = house.answered(house.ask("GET"));
  const auto& images = *list.find("images")->as<wire::JsonArray>();
  REQUIRE(images.size() == 1);
  CHECK(images[0].string_or("digest") == "sha256:" + digest);
  CHECK(images[0].find("names")->dump() == R"(["app:1"])");
  CHECK(images[0].find("entryPoint")->dump() == R"(["/app"])");
  house.answered(house.ask("DELETE", "", "name=app%3A1"));
  CHECK(house.answered(house.ask("GET")).find("images")->dump() == "[]");
  CHECK(house.ask("DELETE", "", "name=app%3A1").status == 404);
  CHECK(house.ask("DELETE").status == 400);
  CHECK(house.ask("PUT").status == 400);
  CHECK(house.ask("POST", "nonsense").status == 400);
  CHECK(house.ask("POST", R"({"path":"relative"})").status == 400);
  CHECK(house.ask("POST", R"({"path":"/nowhere"})").status == 404);
  house.guard.caller.reset();
  for (const char* method : {"GET", "POST", "DELETE"}) CHECK(house.ask(method).status == 403);
}

TEST_CASE("a function of an image answers what the cloud answers") {
  ImageHouse house;
  std::string digest = house.bring("app:1");
  std::string uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1";
  auto made = house.create_image(uri);
  CHECK(made.package_type() == "Image");
  CHECK(made.code_sha256() == digest);
  CHECK(made.code_size() == 0);
  CHECK_FALSE(made.runtime());
  CHECK_FALSE(made.handler());
  CHECK_FALSE(made.has_image_config_response());
  model::GetFunctionRequest get;
  get.set_function_name("f");
  auto whole = house.ok<model::GetFunctionResponse>("GetFunction", get);
  CHECK(whole.code()->repository_type() == "ECR");
  CHECK(whole.code()->image_uri() == uri);
  CHECK(whole.code()->resolved_image_uri() ==
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/app@sha256:" + digest);
  CHECK(whole.configuration()->state() == "Active");
  auto runnable = house.invoked();
  REQUIRE(runnable.image);
  CHECK(runnable.runtime == "provided");
  CHECK(runnable.image->argv == std::vector<std::string>{"/app", "x"});
  CHECK(runnable.image->env == std::vector<std::string>{"A=1"});
  CHECK(runnable.image->working_dir == "/w");
  CHECK(fs::exists(runnable.image->dir / "app"));
}

TEST_CASE("ImageConfig goes before the image, member by member") {
  ImageHouse house;
  house.bring("app:1");
  auto in = ImageHouse::image_request("app:1");
  model::ImageConfig config;
  config.set_command({"a", "b"}).set_working_directory("/elsewhere");
  in.set_image_config(config);
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", in);
  auto shown = *made.image_config_response()->image_config();
  CHECK(shown.command() == std::vector<std::string_view>{"a", "b"});
  CHECK(shown.working_directory() == "/elsewhere");
  CHECK_FALSE(shown.has_entry_point());
  auto runnable = house.invoked();
  CHECK(runnable.image->argv == std::vector<std::string>{"/app", "a", "b"});
  CHECK(runnable.image->working_dir == "/elsewhere");
  model::UpdateFunctionConfigurationRequest update;
  update.set_function_name("f");
  model::ImageConfig other;
  other.set_entry_point({"/bin/sh", "-c"});
  update.set_image_config(other);
  auto updated = house.ok<model::FunctionConfiguration>("UpdateFunctionConfiguration", update);
  CHECK(updated.config_sha256() != made.config_sha256());
  CHECK(house.invoked().image->argv == std::vector<std::string>{"/bin/sh", "-c", "x"});
  CHECK(house.invoked().image->working_dir == "/w");
}

TEST_CASE("what is refused with the cloud's words") {
  ImageHouse house;
  house.bring("app:1");
  auto refused = [&](auto set) {
    auto in = ImageHouse::image_request("app:1");
    set(in);
    return house.refused("CreateFunction", in);
  };
  using In = model::CreateFunctionRequest;
  CHECK(refused([](In& in) { in.set_runtime("nodejs20.x"); }) == no_zip);
  CHECK(refused([](In& in) { in.set_handler("a.b"); }) == no_zip);
  CHECK(refused([](In& in) {
          in.set_layers({"arn:aws:lambda:us-east-1:000000000000:layer:l:1"});
        }) == no_zip);
  CHECK(refused([](In& in) {
          model::FunctionCode zip;
          zip.set_zip_file(House::zip());
          in.set_code(zip);
        }) == invalid + "Please provide ImageUri when creating a function with packageType Image.");
  CHECK(refused([](In& in) {
          model::SnapStart snap;
          snap.set_apply_on("PublishedVersions");
          in.set_snap_start(snap);
        }).starts_with("NotImplementedException 501"));
  for (const auto& [uri, what] : std::map<std::string, std::string>{{"absent:1", "does not exist"},
                                                                    {"Bad Name", "is not valid"}}) {
    CHECK(house.refused("CreateFunction", ImageHouse::image_request(uri)) ==
          fmt::format("{}Source image {} {}. Provide a valid source image.", invalid, uri, what));
  }
  house.done("CreateFunction", ImageHouse::image_request("app:1"));
  const std::string unsigned_only =
      invalid + "Code signing is not supported for functions created with container images.";
  model::PutFunctionCodeSigningConfigRequest put;
  put.set_function_name("f").set_code_signing_config_arn(
      "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-01234567890123456");
  CHECK(house.refused("PutFunctionCodeSigningConfig", put) == unsigned_only);
  model::GetFunctionCodeSigningConfigRequest get;
  get.set_function_name("f");
  CHECK(house.refused("GetFunctionCodeSigningConfig", get) == unsigned_only);
  model::DeleteFunctionCodeSigningConfigRequest remove;
  remove.set_function_name("f");
  CHECK(house.refused("DeleteFunctionCodeSigningConfig", remove) == unsigned_only);
  auto zipped = House::request("z");
  model::ImageConfig config;
  zipped.set_image_config(config);
  house.done("CreateFunction", zipped);  // it says nothing
  config.set_command({"x"});
  model::UpdateFunctionConfigurationRequest update;
  update.set_function_name("z").set_image_config(config);
  CHECK(house.refused("UpdateFunctionConfiguration", update).starts_with(invalid));
  model::UpdateFunctionCodeRequest code;
  code.set_function_name("z").set_image_uri("app:1");
  CHECK(house.refused("UpdateFunctionCode", code) ==
        invalid + "Please don't provide ImageUri when updating a function with packageType Zip.");
}

TEST_CASE("new code is what its name leads to then, and nothing else changes it") {
  ImageHouse house;
  std::string first = house.bring("app:1", "first");
  house.create_image("app:1");
  std::string second = house.bring("app:1", "second");
  CHECK(house.invoked().image->dir.filename() == first);
  model::UpdateFunctionCodeRequest update;
  update.set_function_name("f").set_image_uri("app:1");
  auto updated = house.ok<model::FunctionConfiguration>("UpdateFunctionCode", update);
  CHECK(updated.code_sha256() == second);
  CHECK(house.invoked().image->dir.filename() == second);
  model::UpdateFunctionCodeRequest zip;
  zip.set_function_name("f").set_zip_file(House::zip());
  CHECK(house.refused("UpdateFunctionCode", zip) ==
        invalid + "Please provide ImageUri when updating a function with packageType Image.");
}

TEST_CASE("functions of images outlast the server, and images outlast their names") {
  ImageHouse house;
  std::string digest = house.bring("app:1");
  house.create_image("app:1");
  house.answered(house.ask("DELETE", "", "name=app:1"));
  house.stop();
  house.start();
  CHECK(house.invoked().image->dir.filename() == digest);
  model::DeleteFunctionRequest remove;
  remove.set_function_name("f");
  house.done("DeleteFunction", remove);
  house.stop();
  house.start();
  CHECK(house.answered(house.ask("GET")).find("images")->dump() == "[]");
}

TEST_CASE("paths of this machine are code where that is allowed, and never for a function") {
  ImageHouse house;
  std::string digest = house.layout("layout");
  std::string path = (house.dir / "layout").string();
  CHECK(house.refused("CreateFunction", ImageHouse::image_request(path)).find("is not valid") !=
        std::string::npos);
  house.stop();
  house.settings.image_paths = true;
  house.start();
  house.from_function = true;
  CHECK(
      house.refused("CreateFunction", ImageHouse::image_request(path)) ==
      fmt::format("{}Source image {} is not valid. Provide a valid source image.", invalid, path));
  house.from_function = false;
  CHECK(house.create_image("file://" + path).code_sha256() == digest);
}

TEST_CASE("the layer of the web adapter needs no publishing") {
  House house;
  auto in = House::request("f");
  std::string arn = "arn:aws:lambda:us-east-1:753240598075:layer:LambdaAdapterLayerX86:26";
  in.set_layers({arn});
  auto made = house.ok<model::FunctionConfiguration>("CreateFunction", in);
  REQUIRE(made.layers().size() == 1);
  CHECK(made.layers()[0].arn() == arn);
  CHECK(made.layers()[0].code_size() == 0);
  model::InvocationRequest call;
  call.set_function_name("f");
  house.done("Invoke", call);
  CHECK(house.invoker.runnables.back().web_adapter);
  CHECK(house.invoker.runnables.back().layers_dir.empty());
  in.set_function_name("g").set_layers({arn, arn.substr(0, arn.size() - 2) + "25"});
  CHECK(house.refused("CreateFunction", in).find("Two different versions of the same layer") !=
        std::string::npos);
  in.set_layers({"arn:aws:lambda:eu-west-1:753240598075:layer:LambdaAdapterLayerX86:26"});
  CHECK(house.refused("CreateFunction", in).find("same region") != std::string::npos);
}

}  // namespace
}  // namespace mayfly::lambda::test
