#include "services/s3/service.h"

#include "api/input.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
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
    {"DeleteObject", delete_object},
    {"DeleteObjects", delete_objects},
    {"GetBucketLocation", get_bucket_location},
    {"GetBucketNotificationConfiguration", get_notifications},
    {"GetObject", get_object},
    {"GetObjectAttributes", get_object_attributes},
    {"HeadBucket", head_bucket},
    {"HeadObject", head_object},
    {"ListBuckets", list_buckets},
    {"ListMultipartUploads", list_uploads},
    {"ListObjects", list_objects},
    {"ListObjectsV2", list_objects_v2},
    {"ListParts", list_parts},
    {"PutBucketNotificationConfiguration", put_notifications},
    {"PutObject", put_object},
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

// "aws-chunked" is how the payload travels, and no property of the object.
std::string without_chunked(std::string_view encoding) {
  std::string out;
  for (auto part : wire::split(encoding, ',')) {
    part = wire::trim(part);
    if (part.empty() || wire::iequals(part, "aws-chunked")) continue;
    if (!out.empty()) out += ',';
    out += part;
  }
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

ApiResult<BucketRef> find_bucket(const Deps& deps, const api::Call& call, std::string_view name,
                                 std::string_view action, const std::string& resource) {
  auto bucket = deps.buckets.find(name);
  if (!bucket) return no_such_bucket();
  if (bucket->owner == call.caller.account) return bucket;
  auto decision = deps.guard.authorize({.caller = call.caller,
                                        .action = action,
                                        .resource = resource,
                                        .resource_account = bucket->owner,
                                        .source_arn = {},
                                        .function_url_auth_type = {}});
  if (!decision.allowed) return access_denied();
  return bucket;
}

ApiResult<BucketRef> find_bucket(const Deps& deps, const api::Call& call,
                                 const wire::Record& input) {
  auto name = text_of(input, "Bucket");
  auto key = text_of(input, "Key");
  if (auto good = check_key(key); !good) return std::unexpected(std::move(good.error()));
  auto resource = bucket_arn(name) + (key.empty() ? "" : "/" + key);
  auto bucket = find_bucket(deps, call, name, call.operation.action, resource);
  auto owner = text_of(input, "ExpectedBucketOwner");
  if (bucket && !owner.empty() && owner != (*bucket)->owner.str()) return access_denied();
  return bucket;
}

ApiResult<Object> find_object(const Deps& deps, const Bucket& bucket, std::string_view key) {
  auto found = deps.objects.find(bucket.name, key);
  if (!found) return std::unexpected(api_error(found.error()));
  if (!*found) return no_such_key();
  return **std::move(found);
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
  if (auto good =
          refuse_members(input, {"Tagging", "ObjectLockMode", "ObjectLockRetainUntilDate",
                                 "ObjectLockLegalHoldStatus", "SSECustomerAlgorithm",
                                 "SSECustomerKey", "SSEKMSKeyId", "WriteOffsetBytes",
                                 "GrantFullControl", "GrantRead", "GrantReadACP", "GrantWriteACP"});
      !good) {
    return std::unexpected(std::move(good.error()));
  }
  if (auto sse = text_of(input, "ServerSideEncryption"); !sse.empty() && sse != "AES256") {
    return not_built(fmt::format("The encryption {} is", sse));
  }
  About out;
  for (const auto& text : texts) out.*text.into = text_of(input, text.member);
  out.content_encoding = without_chunked(out.content_encoding);
  if (!out.storage_class.empty() &&
      std::ranges::find(storage_classes, out.storage_class) == std::end(storage_classes)) {
    return refuse("InvalidStorageClass", 400, "The storage class you specified is not valid");
  }
  if (out.storage_class == "STANDARD") out.storage_class.clear();
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
