// PutObject, DeleteObject, DeleteObjects.
#include "api/input.h"
#include "services/s3/intake.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "services/s3/service.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using api::text_of;

model::Error error_of(const std::string& key, const std::string& version,
                      const api::ApiError& error) {
  model::Error out;
  out.set_key(key).set_code(error.code).set_message(error.message);
  if (!version.empty()) out.set_version_id(version);
  return out;
}

model::DeletedObject deleted_of(const Objects::Removed& removed, bool by_version) {
  model::DeletedObject out;
  out.set_key(removed.key);
  if (by_version) out.set_version_id(removed.version_id);
  if (removed.marker) {
    out.set_delete_marker(true).set_delete_marker_version_id(removed.version_id);
  }
  return out;
}

}  // namespace

Answer put_object(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto about = read_about_members(input);
  if (!about) co_return std::unexpected(std::move(about.error()));
  auto expected = expected_of(input, limits::object_upload_bytes);
  if (!expected) co_return std::unexpected(std::move(expected.error()));
  if (call.upload != nullptr && !call.upload->size()) {
    co_return refuse("MissingContentLength", 411,
                     "You must provide the Content-Length HTTP header.");
  }
  WriteCondition condition{.if_match = text_of(input, "IfMatch"),
                           .if_none_match = text_of(input, "IfNoneMatch")};
  auto received = co_await receive(deps.pieces, call.upload.get(), *std::move(expected));
  if (!received) co_return std::unexpected(std::move(received.error()));
  auto happening = happening_of(deps, call, "ObjectCreated:Put");
  Objects::New what{.object = {.key = text_of(input, "Key"),
                               .size = received->piece.size,
                               .etag = wire::hex_encode(received->md5),
                               .modified_ms = happening.at_ms / 1000 * 1000,
                               .owner = call.caller.account,
                               .about = *std::move(about),
                               .checksum = std::move(received->checksum),
                               .piece = received->piece},
                    .bytes = std::move(received->bytes)};
  auto put = co_await deps.objects.put((*bucket)->name, std::move(what), std::move(condition),
                                       std::move(happening));
  if (!put) co_return std::unexpected(std::move(put.error()));
  auto out = record_of(model::PutObjectOutput()
                           .set_e_tag(etag_text(put->etag))
                           .set_server_side_encryption("AES256"));
  set_checksum(out, put->checksum);
  set_version(out, **bucket, *put);
  co_return out;
}

Answer delete_object(Deps deps, api::Call& call, wire::Record input) {
  auto bucket = find_bucket(deps, call, input);
  if (!bucket) co_return std::unexpected(std::move(bucket.error()));
  auto key = text_of(input, "Key");
  auto version = text_of(input, "VersionId");
  if (auto good = check_version_id(version); !good) co_return std::unexpected(good.error());
  if (auto good = refuse_members(input, {"IfMatchLastModifiedTime", "IfMatchSize", "MFA"}); !good) {
    co_return std::unexpected(good.error());
  }
  WriteCondition condition{.if_match = text_of(input, "IfMatch")};
  if (!version.empty() && !condition.empty()) {
    co_return not_built("If-Match of a version that is not the current one is");
  }
  auto happening = happening_of(deps, call, "ObjectRemoved:Delete");
  ApiResult<std::vector<Objects::Removed>> gone;
  if (version.empty()) {
    gone = co_await deps.objects.remove((*bucket)->name, {key}, std::move(condition),
                                        std::move(happening));
  } else {
    gone = co_await deps.objects.remove_versions((*bucket)->name, {{key, {version}}},
                                                 std::move(happening));
  }
  if (!gone) co_return std::unexpected(std::move(gone.error()));
  const auto& removed = gone->front();
  model::DeleteObjectOutput out;
  if (!removed.version_id.empty()) out.set_version_id(removed.version_id);
  if (removed.marker) out.set_delete_marker(true);
  co_return std::move(out).take();
}

Answer delete_objects(Deps deps, api::Call& call, wire::Record input) {
  // Who may delete what is asked of each key.
  auto bucket = deps.buckets.find(text_of(input, "Bucket"));
  if (!bucket) co_return no_such_bucket();
  auto owner = text_of(input, "ExpectedBucketOwner");
  if (!owner.empty() && owner != bucket->owner.str()) co_return access_denied();
  model::DeleteObjectsRequest in(std::move(input));
  auto wanted = in.delete_();
  if (!wanted || wanted->objects().empty() || wanted->objects().size() > limits::object_deletes) {
    co_return malformed_xml();
  }
  std::vector<std::string> keys;
  Objects::Versions versions;
  std::vector<model::Error> errors;
  for (const auto& one : wanted->objects()) {
    std::string key(one.key().value_or(""));
    std::string version(one.version_id().value_or(""));
    if (key.empty()) co_return malformed_xml();
    auto good = check_version_id(version);
    if (good) good = check_key(key);
    auto action = version.empty() ? "s3:DeleteObject" : "s3:DeleteObjectVersion";
    if (good && !may(deps, call, *bucket, action, bucket_arn(bucket->name) + "/" + key)) {
      good = access_denied();
    }
    if (good) good = refuse_members(one.record(), {"ETag", "LastModifiedTime", "Size"});
    if (!good) {
      errors.push_back(error_of(key, version, good.error()));
    } else if (version.empty()) {
      keys.push_back(std::move(key));
    } else {
      versions[std::move(key)].insert(std::move(version));
    }
  }
  auto happening = happening_of(deps, call, "ObjectRemoved:Delete");
  auto ended = co_await deps.objects.remove_versions(bucket->name, std::move(versions), happening);
  if (!ended) co_return std::unexpected(std::move(ended.error()));
  auto gone = co_await deps.objects.remove(bucket->name, std::move(keys), {}, std::move(happening));
  if (!gone) co_return std::unexpected(std::move(gone.error()));
  model::DeleteObjectsOutput out;
  if (!wanted->quiet().value_or(false)) {
    std::vector<model::DeletedObject> deleted;
    for (const auto& one : *ended) deleted.push_back(deleted_of(one, true));
    for (const auto& one : *gone) deleted.push_back(deleted_of(one, false));
    out.set_deleted(std::move(deleted));
  }
  if (!errors.empty()) out.set_errors(std::move(errors));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::s3
