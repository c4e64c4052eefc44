// Code in a bucket: the object that S3Bucket, S3Key and S3ObjectVersion name, read by S3's own
// operations as whoever deploys it (developer guide, "Deploying Lambda functions as .zip file
// archives": the bucket is in the function's region, the deployer may s3:GetObject).
#include "api/input.h"
#include "base/limits.h"
#include "services/lambda/service.h"
#include "wire/json.h"

namespace mayfly::lambda {

namespace {

using api::Call;

// A zip lies in memory while it becomes a package. No quota of the cloud names its size: what is
// zipped is bounded once more, unzipped. Unbound functions have this bound too.
constexpr std::uint64_t object_zip_bytes = limits::package_unzipped_bytes;
// So much of all deployments under way; who comes when it is used up waits.
constexpr std::uint64_t objects_in_memory = 2 * object_zip_bytes;

api::OwnCall s3_call(const Call& call, std::string operation, const wire::Json& input) {
  api::OwnCall own{.service = "s3",
                   .operation = std::move(operation),
                   .input = {},
                   .caller = call.caller,
                   .scope = call.scope};
  wire::append_json(own.input, input);
  return own;
}

api::ApiError s3_error(std::string_view code, std::string_view message) {
  return invalid(
      fmt::format("Error occurred while GetObject. S3 Error Code: {}. S3 Error "
                  "Message: {}",
                  code, message));
}

api::ApiError s3_error(const model::FunctionCode& code, const api::ApiError& error) {
  if (error.http_status == 403) {
    return api::access_denied(
        fmt::format("Your access has been denied by S3, please make sure your request credentials "
                    "have permission to GetObject for {}/{}. S3 Error Code: AccessDenied. S3 Error "
                    "Message: Access Denied",
                    *code.s3_bucket(), *code.s3_key()));
  }
  if (error.http_status == 501) return error;  // it names what is not built
  if (error.http_status >= 500) return model::service_exception(error.message);
  return s3_error(error.code, error.message);
}

// Who may read the object need not be allowed to ask for its bucket: then nothing is said of where
// that is.
io::Task<ApiResult<void>> check_region(api::Calls& calls, const Call& call,
                                       model::FunctionCode code) {
  auto input = wire::Json::object({{"Bucket", *code.s3_bucket()}});
  auto head = co_await calls.call(s3_call(call, "HeadBucket", input));
  if (!head && head.error().http_status == 403) co_return ApiResult<void>();
  if (!head) co_return refuse(s3_error(code, head.error()));
  auto region = api::text_of(*head, "BucketRegion");
  if (region == call.scope.region.str()) co_return ApiResult<void>();
  co_return refuse(s3_error("PermanentRedirect",
                            fmt::format("The bucket is in this region: {}. Please use this region "
                                        "to retry the request",
                                        region)));
}

io::Task<Result<std::string>> read_whole(io::BodySource& source, std::uint64_t bytes) {
  std::string out;
  out.reserve(bytes);
  for (;;) {
    CO_TRY_ASSIGN(auto more, co_await source.next({}));
    if (more.empty()) co_return out;
    out += more;
  }
}

// A share of the memory that is set apart for objects.
class Share {
 public:
  Share(io::ParkingLot& lot, std::uint64_t& used, std::uint64_t bytes)
      : lot_(lot), used_(used), bytes_(bytes) {}
  ~Share() {
    if (!taken_) return;
    used_ -= bytes_;
    lot_.wake_all();
  }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  io::Task<void> take() {
    while (used_ + bytes_ > objects_in_memory) co_await lot_.park();
    used_ += bytes_;
    taken_ = true;
  }

 private:
  io::ParkingLot& lot_;
  std::uint64_t& used_;
  std::uint64_t bytes_;
  bool taken_ = false;
};

}  // namespace

io::Task<ApiResult<functions::PackageRef>> Service::add_object(const Call& call,
                                                               model::FunctionCode code,
                                                               std::uint64_t unzipped_max) {
  if (deps_.calls == nullptr) co_return refuse(unbuilt("Code in a bucket"));
  CO_TRY(co_await check_region(*deps_.calls, call, code));
  auto input = wire::Json::object({{"Bucket", *code.s3_bucket()}, {"Key", *code.s3_key()}});
  if (auto version = code.s3_object_version()) input["VersionId"] = *version;
  auto object = co_await deps_.calls->open(s3_call(call, "GetObject", input));
  if (!object) co_return refuse(s3_error(code, object.error()));
  auto bytes = object->call->stream_bytes.value_or(0);
  auto most = std::min(unzipped_max, object_zip_bytes);
  if (bytes > most) {
    co_return refuse(invalid(fmt::format("Unzipped size must be smaller than {} bytes", most)));
  }
  Share share(objects_read_, object_bytes_, bytes);
  co_await share.take();
  auto zip = co_await read_whole(*object->call->stream, bytes);
  if (!zip) co_return refuse(from(zip.error()));
  object->call->stream.reset();
  auto added = co_await deps_.packages.add(*std::move(zip), unzipped_max);
  if (!added) co_return refuse(from(added.error()));
  co_return *added;
}

}  // namespace mayfly::lambda
