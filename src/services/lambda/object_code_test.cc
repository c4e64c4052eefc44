// Code in buckets: what is asked of the object store, and what of its refusals deployers read.
#include "api/s3.h"
#include "services/lambda/fixture_test.h"
#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::lambda::test;
namespace model = mayfly::api::lambda;

namespace {

// One object, handed out in pieces.
class Object final : public io::BodySource {
 public:
  Object(std::string bytes, bool breaks) : bytes_(std::move(bytes)), breaks_(breaks) {}
  io::Task<Result<std::string>> next(std::stop_token) override {
    if (at_ == bytes_.size() && breaks_) {
      co_return fail(ErrorKind::unavailable, "the disk is gone");
    }
    auto piece = bytes_.substr(at_, bytes_.size() / 3 + 1);
    at_ += piece.size();
    co_return piece;
  }

 private:
  std::string bytes_;
  bool breaks_;
  std::size_t at_ = 0;
};

// An object store of one object.
class Store final : public api::Calls {
 public:
  api::ApiResult<void> check(std::string_view, std::string_view) const override { return {}; }
  io::Task<api::ApiResult<wire::Record>> call(api::OwnCall call) override {
    note(call);
    if (head_refusal) co_return std::unexpected(*head_refusal);
    api::s3::HeadBucketOutput out;
    out.set_bucket_region(region);
    co_return std::move(out).take();
  }
  io::Task<api::ApiResult<api::OwnStream>> open(api::OwnCall call) override {
    note(call);
    if (refusal) co_return std::unexpected(*refusal);
    static const api::Operation row{.name = "GetObject"};
    auto made = std::make_unique<api::Call>(api::Call{
        .operation = row, .caller = {}, .scope = call.scope, .request_id = {}, .host = {}});
    made->stream = std::make_unique<Object>(bytes, breaks);
    made->stream_bytes = size.value_or(bytes.size());
    co_return api::OwnStream{wire::Record(), std::move(made)};
  }
  void note(const api::OwnCall& call) {
    asked.push_back(fmt::format("{}:{} {}", call.service, call.operation, call.input));
  }

  std::string region = "us-east-1";
  std::string bytes = House::zip();
  std::optional<std::uint64_t> size;
  bool breaks = false;
  std::optional<api::ApiError> head_refusal, refusal;
  std::vector<std::string> asked;
};

api::ApiError refusal(std::string code, int status, std::string message) {
  return {std::move(code), status, std::move(message), true, {}};
}

struct Bench {
  Bench() {
    house.stop();
    house.calls = &store;
    house.start();
  }
  static model::FunctionCode code() {
    model::FunctionCode code;
    code.set_s3_bucket("releases").set_s3_key("a b/code.zip");
    return code;
  }
  static model::CreateFunctionRequest request() {
    auto in = House::request("f");
    in.set_code(code());
    return in;
  }
  std::string refused() { return house.refused("CreateFunction", request()); }

  House house;
  Store store;
};

const std::string s3_error =
    "InvalidParameterValueException 400: Error occurred while GetObject. S3 Error Code: ";

}  // namespace

TEST_CASE("code in a bucket: the same package as the zip itself") {
  Bench b;
  auto made = b.house.ok<model::FunctionConfiguration>("CreateFunction", Bench::request());
  CHECK(b.store.asked ==
        std::vector<std::string>{R"(s3:HeadBucket {"Bucket":"releases"})",
                                 R"(s3:GetObject {"Bucket":"releases","Key":"a b/code.zip"})"});
  auto inline_made = b.house.create("g");
  CHECK(made.code_sha256() == inline_made.code_sha256());
  CHECK(made.code_size() == inline_made.code_size());
}

TEST_CASE("code in a bucket: of updates and layers, in the version that is named") {
  Bench b;
  auto before = b.house.create("f");
  b.store.bytes = House::zip("exports.handler = 2");
  model::UpdateFunctionCodeRequest in;
  in.set_function_name("f").set_s3_bucket("releases").set_s3_key("k").set_s3_object_version("v1");
  auto after = b.house.ok<model::FunctionConfiguration>("UpdateFunctionCode", in);
  CHECK(after.code_sha256() != before.code_sha256());
  CHECK(b.store.asked.back() == R"(s3:GetObject {"Bucket":"releases","Key":"k","VersionId":"v1"})");
  model::LayerVersionContentInput content;
  content.set_s3_bucket("releases").set_s3_key("layer").set_s3_object_version("v2");
  model::PublishLayerVersionRequest layer;
  layer.set_layer_name("l").set_content(content);
  auto published = b.house.ok<model::PublishLayerVersionResponse>("PublishLayerVersion", layer);
  CHECK(published.content()->code_sha256() == after.code_sha256());
  CHECK(b.store.asked.back() ==
        R"(s3:GetObject {"Bucket":"releases","Key":"layer","VersionId":"v2"})");
}

TEST_CASE("code in a bucket: refusals of the object store") {
  Bench b;
  b.store.refusal = refusal("NoSuchKey", 404, "The specified key does not exist.");
  CHECK(b.refused() == s3_error + "NoSuchKey. S3 Error Message: The specified key does not exist.");
  for (auto code : {"AccessDenied", "AccessDeniedException"}) {
    b.store.refusal = refusal(code, 403, "whoever says so");
    CHECK(b.refused() ==
          "AccessDeniedException 403: Your access has been denied by S3, please make sure your "
          "request credentials have permission to GetObject for releases/a b/code.zip. S3 Error "
          "Code: AccessDenied. S3 Error Message: Access Denied");
  }
  b.store.refusal = refusal("InternalError", 500, "We encountered an internal error.");
  CHECK(b.refused() == "ServiceException 500: We encountered an internal error.");
  b.store.refusal.reset();
  b.store.region = "eu-west-1";
  CHECK(b.refused() ==
        s3_error +
            "PermanentRedirect. S3 Error Message: The bucket is in this region: eu-west-1. Please "
            "use this region to retry the request");
  // Who may not ask for the bucket may have its object.
  b.store.head_refusal = refusal("AccessDenied", 403, "Access Denied");
  b.house.done("CreateFunction", Bench::request());
  b.store.head_refusal = refusal("NoSuchBucket", 404, "The specified bucket does not exist");
  CHECK(b.refused().starts_with("ResourceConflictException"));
  auto other = Bench::request();
  other.set_function_name("g");
  CHECK(b.house.refused("CreateFunction", other) ==
        s3_error + "NoSuchBucket. S3 Error Message: The specified bucket does not exist");
}

TEST_CASE("code in a bucket: objects that are no package") {
  Bench b;
  b.store.size = limits::package_unzipped_bytes + 1;
  CHECK(b.refused() ==
        "InvalidParameterValueException 400: Unzipped size must be smaller than 262144000 bytes");
  b.store.size.reset();
  b.store.breaks = true;
  CHECK(b.refused().find(" 5") != std::string::npos);
  b.store.breaks = false;
  b.store.bytes = "no zip, and longer than one of the pieces that the object comes in, at all";
  CHECK(b.refused() ==
        "InvalidParameterValueException 400: Could not unzip uploaded file. Please check your "
        "file, then try to upload again.");
  b.store.bytes = House::zip();
  b.house.done("CreateFunction", Bench::request());
}

TEST_CASE("code in a bucket: a zip that no request could carry") {
  Bench b;
  // As the cloud: what a zip in a bucket may have is bounded unzipped alone.
  sim::ZipMaker zip;
  zip.file("index.js", "exports.handler = 1");
  std::string noise(limits::package_zip_bytes + 1, 'x');
  zip.file("data", noise);
  b.store.bytes = zip.bytes();
  b.store.size.reset();
  auto made = b.house.ok<model::FunctionConfiguration>("CreateFunction", Bench::request());
  CHECK(made.code_size() == static_cast<std::int64_t>(b.store.bytes.size()));
}

TEST_CASE("code: which of its members go together") {
  House house;  // without object store
  auto refused = [&house](const model::FunctionCode& code) {
    auto in = House::request("f");
    in.set_code(code);
    return house.refused("CreateFunction", in);
  };
  const std::string invalid = "InvalidParameterValueException 400: ";
  CHECK(refused(Bench::code()) ==
        "NotImplementedException 501: Code in a bucket is not implemented by this server yet.");
  auto both = Bench::code();
  both.set_zip_file(House::zip());
  CHECK(refused(both) ==
        invalid + "Please do not provide other FunctionCode parameters when providing a ZipFile.");
  model::FunctionCode half;
  half.set_s3_bucket("releases");
  CHECK(refused(half) == invalid + "Please provide a source for function code.");
  model::FunctionCode sealed;
  sealed.set_zip_file(House::zip()).set_source_kms_key_arn("arn:aws:kms:us-east-1:0:key/k");
  CHECK(refused(sealed) ==
        "NotImplementedException 501: SourceKMSKeyArn is not implemented by this server yet.");
}
