#include "services/s3/service.h"

#include "api/input.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "services/s3/tags.h"
#include "services/s3/versions.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using api::text_of;
using Handle = Answer (*)(Deps, api::Call&, wire::Record);

struct Row {
  std::string_view name;
  Handle handler;
};
constexpr Row rows[] = {
    {"AbortMultipartUpload", abort_upload},
    {"CompleteMultipartUpload", complete_upload},
    {"CopyObject", copy_object},
    {"CreateBucket", create_bucket},
    {"CreateMultipartUpload", create_upload},
    {"DeleteBucket", delete_bucket},
    {"DeleteBucketPolicy", delete_policy},
    {"DeleteBucketTagging", delete_bucket_tags},
    {"DeleteObject", delete_object},
    {"DeleteObjectTagging", delete_object_tags},
    {"DeleteObjects", delete_objects},
    {"GetBucketLocation", get_bucket_location},
    {"GetBucketNotificationConfiguration", get_notifications},
    {"GetBucketPolicy", get_policy},
    {"GetBucketPolicyStatus", get_policy_status},
    {"GetBucketTagging", get_bucket_tags},
    {"GetBucketVersioning", get_versioning},
    {"GetObject", get_object},
    {"GetObjectAttributes", get_object_attributes},
    {"GetObjectTagging", get_object_tags},
    {"HeadBucket", head_bucket},
    {"HeadObject", head_object},
    {"ListBuckets", list_buckets},
    {"ListMultipartUploads", list_uploads},
    {"ListObjectVersions", list_versions},
    {"ListObjects", list_objects},
    {"ListObjectsV2", list_objects_v2},
    {"ListParts", list_parts},
    {"PutBucketNotificationConfiguration", put_notifications},
    {"PutBucketPolicy", put_policy},
    {"PutBucketTagging", put_bucket_tags},
    {"PutBucketVersioning", put_versioning},
    {"PutObject", put_object},
    {"PutObjectTagging", put_object_tags},
    {"UploadPart", upload_part},
    {"UploadPartCopy", upload_part_copy},
};

struct Text {
  std::string_view member;
  std::string About::* into;
};
constexpr Text texts[] = {
    {"ContentType", &About::content_type},
    {"CacheControl", &About::cache_control},
    {"ContentDisposition", &About::content_disposition},
    {"ContentEncoding", &About::content_encoding},
    {"ContentLanguage", &About::content_language},
    {"Expires", &About::expires},
    {"WebsiteRedirectLocation", &About::website_redirect},
    {"StorageClass", &About::storage_class},
};

constexpr std::string_view storage_classes[] = {
    "STANDARD", "REDUCED_REDUNDANCY",  "STANDARD_IA",  "ONEZONE_IA",
    "GLACIER",  "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR",
};

void tell_of_marker(const Object& marker, api::ApiError& error) {
  error.headers.emplace_back("x-amz-delete-marker", "true");
  error.headers.emplace_back("x-amz-version-id", version_id(marker));
}

// What is asked of a version has an action of its own: "s3:GetObjectVersionTagging".
std::string action_of(const api::Call& call, std::string_view version) {
  std::string out(call.operation.action);
  constexpr std::string_view object = "Object";
  auto at = out.find(object);
  if (!version.empty() && at != out.npos) out.insert(at + object.size(), "Version");
  return out;
}

}  // namespace

api::Service make_s3_service(const Deps& deps) {
  api::Service service;
  service.model = &model::model;
  service.checks_input = true;
  for (const auto& row : rows) {
    service.handlers[row.name] = [deps, handler = row.handler](api::Call& call,
                                                               wire::Record input) {
      return handler(deps, call, std::move(input));
    };
  }
  return service;
}

bool may(const Deps& deps, const api::Call& call, const Bucket& bucket, std::string_view action,
         const std::string& resource) {
  return deps.guard
      .authorize({.caller = call.caller,
                  .action = action,
                  .resource = resource,
                  .resource_account = bucket.owner,
                  .source_arn = {},
                  .function_url_auth_type = {}})
      .allowed;
}

ApiResult<BucketRef> find_bucket(const Deps& deps, const api::Call& call, std::string_view name,
                                 std::string_view action, const std::string& resource) {
  auto bucket = deps.buckets.find(name);
  if (!bucket) return no_such_bucket();
  if (!may(deps, call, *bucket, action, resource)) return access_denied();
  return bucket;
}

ApiResult<BucketRef> find_bucket(const Deps& deps, const api::Call& call,
                                 const wire::Record& input) {
  auto name = text_of(input, "Bucket");
  auto key = text_of(input, "Key");
  if (auto good = check_key(key); !good) return std::unexpected(std::move(good.error()));
  auto resource = bucket_arn(name) + (key.empty() ? "" : "/" + key);
  auto bucket =
      find_bucket(deps, call, name, action_of(call, text_of(input, "VersionId")), resource);
  auto owner = text_of(input, "ExpectedBucketOwner");
  if (bucket && !owner.empty() && owner != (*bucket)->owner.str()) return access_denied();
  return bucket;
}

ApiResult<void> check_version_id(std::string_view version) {
  if (version.empty() || is_version_id(version)) return {};
  return invalid_argument("Invalid version id specified");
}

ApiResult<Object> find_object(const Deps& deps, const Bucket& bucket, std::string_view key,
                              std::string_view version) {
  if (auto good = check_version_id(version); !good) return std::unexpected(good.error());
  auto found = version.empty() ? deps.objects.find(bucket.name, key)
                               : deps.objects.find_version(bucket.name, key, version);
  if (!found) return std::unexpected(api_error(found.error()));
  if (*found && !(*found)->marker) return **std::move(found);
  if (!version.empty()) {
    if (!*found) return no_such_version();
    auto refused = method_not_allowed();
    refused.error().headers.emplace_back("Allow", "DELETE");
    refused.error().headers.emplace_back("Last-Modified",
                                         wire::format_rfc822((*found)->modified_ms));
    tell_of_marker(**found, refused.error());
    return refused;
  }
  auto refused = no_such_key();
  if (bucket.versioning.empty()) return refused;
  auto newest = deps.objects.newest_kept(bucket.name, key);
  if (!newest) return std::unexpected(api_error(newest.error()));
  if (*newest) tell_of_marker(**newest, refused.error());
  return refused;
}

std::int64_t now_ms(const Deps& deps) { return epoch_millis(deps.loop.clock().platform()); }

std::string etag_text(std::string_view etag) { return fmt::format("\"{}\"", etag); }

Happening happening_of(const Deps& deps, const api::Call& call, std::string event) {
  return {.event = std::move(event),
          .reason = std::string(call.operation.name),
          .request_id = call.request_id.str(),
          .principal = call.caller.user_id,
          .requester = call.caller.account,
          .source_ip = call.caller.source_ip,
          .trace_header = call.trace_header,
          .at_ms = now_ms(deps)};
}

ApiResult<void> refuse_members(const wire::Record& input,
                               std::initializer_list<std::string_view> names) {
  for (auto name : names) {
    int at = input.index(name);
    if (at >= 0 && input.has(static_cast<std::size_t>(at))) {
      return not_built(fmt::format("The member {} is", name));
    }
  }
  return {};
}

ApiResult<About> read_about_members(const wire::Record& input) {
  if (auto good = refuse_members(
          input, {"ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus",
                  "SSECustomerAlgorithm", "SSECustomerKey", "SSEKMSKeyId", "WriteOffsetBytes",
                  "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"});
      !good) {
    return std::unexpected(std::move(good.error()));
  }
  if (auto sse = text_of(input, "ServerSideEncryption"); !sse.empty() && sse != "AES256") {
    return not_built(fmt::format("The encryption {} is", sse));
  }
  About out;
  for (const auto& text : texts) out.*text.into = text_of(input, text.member);
  if (!out.storage_class.empty() &&
      std::ranges::find(storage_classes, out.storage_class) == std::end(storage_classes)) {
    return refuse("InvalidStorageClass", 400, "The storage class you specified is not valid");
  }
  if (out.storage_class == "STANDARD") out.storage_class.clear();
  auto tags = read_tag_header(text_of(input, "Tagging"));
  if (!tags) return std::unexpected(std::move(tags.error()));
  out.tags = *std::move(tags);
  int at = input.index("Metadata");
  const auto* metadata = at < 0 ? nullptr : input.at(static_cast<std::size_t>(at)).get<wire::Map>();
  if (metadata == nullptr) return out;
  std::size_t bytes = 0;
  for (const auto& [name, value] : *metadata) {
    const auto* text = value.get<std::string>();
    if (text == nullptr) continue;
    bytes += name.size() + text->size();
    out.metadata[wire::to_lower(name)] = *text;
  }
  if (bytes > limits::object_metadata_bytes) {
    return refuse("MetadataTooLarge", 400,
                  "Your metadata headers exceed the maximum allowed metadata size");
  }
  return out;
}

void set_member(wire::Record& output, std::string_view name, wire::Value value) {
  int at = output.index(name);
  if (at >= 0) output.at(static_cast<std::size_t>(at)) = std::move(value);
}

void set_version(wire::Record& output, const Bucket& bucket, const Object& object) {
  if (bucket.versioning.empty() && object.version.empty()) return;
  set_member(output, "VersionId", version_id(object));
}

void set_checksum(wire::Record& output, const Checksum& checksum) {
  if (!checksum.algorithm) return;
  set_member(output, fmt::format("Checksum{}", name_of(*checksum.algorithm)), checksum.value);
  set_member(output, "ChecksumType", std::string(checksum.composite ? "COMPOSITE" : "FULL_OBJECT"));
}

std::size_t page_of(std::optional<std::int64_t> asked) {
  if (!asked) return limits::object_page;
  return std::min<std::size_t>(static_cast<std::size_t>(std::max<std::int64_t>(*asked, 0)),
                               limits::object_page);
}

}  // namespace mayfly::services::s3
