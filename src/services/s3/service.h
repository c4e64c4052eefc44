// The S3 service: the operations of api/s3.h on Buckets and Objects.
//
// Called by front/ through the operation table; guard/ asks BucketPolicies. Threads: loop only.
// Keeps no state of its own; the handlers hold Deps by value.
#pragma once

#include "api/operation.h"
#include "guard/guard.h"
#include "services/s3/objects.h"

namespace mayfly::services::s3 {

// Live as long as the server.
struct Deps {
  io::Loop& loop;
  store::Store& store;
  Buckets& buckets;
  Pieces& pieces;
  Objects& objects;
  guard::Guard& guard;
  const events::Switchboard& switchboard;
};

api::Service make_s3_service(const Deps& deps);

// --- for the handlers (ops_*.cc) ---
using Answer = io::Task<ApiResult<wire::Record>>;

// The bucket that the input names, for a caller who may: NoSuchBucket, AccessDenied.
ApiResult<BucketRef> find_bucket(const Deps& deps, const api::Call& call,
                                 const wire::Record& input);
// By the bucket's account and its policy.
bool may(const Deps& deps, const api::Call& call, const Bucket& bucket, std::string_view action,
         const std::string& resource);
// For another bucket of the same call: CopyObject's source.
ApiResult<BucketRef> find_bucket(const Deps& deps, const api::Call& call, std::string_view name,
                                 std::string_view action, const std::string& resource);
// By the id of its version; empty: the current one. NoSuchKey, NoSuchVersion, MethodNotAllowed (of
// a delete marker) with the fields that tell of it.
ApiResult<Object> find_object(const Deps& deps, const Bucket& bucket, std::string_view key,
                              std::string_view version);
ApiResult<void> check_version_id(std::string_view version);

std::int64_t now_ms(const Deps& deps);
std::string etag_text(std::string_view etag);  // with its quotes
// Of an output that was filled in one breath: setters answer the output itself, which ends with it.
template <class Output>
wire::Record record_of(Output& output) {
  return std::move(output).take();
}
Happening happening_of(const Deps& deps, const api::Call& call, std::string event);
// From the members of PutObject, CopyObject and CreateMultipartUpload: InvalidStorageClass,
// MetadataTooLarge, and 501 for what is not built.
ApiResult<About> read_about_members(const wire::Record& input);
// "ChecksumCRC32" and "ChecksumType", where the output has them.
void set_checksum(wire::Record& output, const Checksum& checksum);
// "VersionId", of a bucket that keeps versions.
void set_version(wire::Record& output, const Bucket& bucket, const Object& object);
void set_member(wire::Record& output, std::string_view name, wire::Value value);
// A count that a list may have: from 0 up to a page.
std::size_t page_of(std::optional<std::int64_t> asked);
// 501 for the first of these members that is there.
ApiResult<void> refuse_members(const wire::Record& input,
                               std::initializer_list<std::string_view> names);

#define MAYFLY_S3_HANDLER(name) Answer name(Deps deps, api::Call& call, wire::Record input)
MAYFLY_S3_HANDLER(create_bucket);
MAYFLY_S3_HANDLER(head_bucket);
MAYFLY_S3_HANDLER(list_buckets);
MAYFLY_S3_HANDLER(get_bucket_location);
MAYFLY_S3_HANDLER(delete_bucket);
MAYFLY_S3_HANDLER(put_object);
MAYFLY_S3_HANDLER(get_object);
MAYFLY_S3_HANDLER(head_object);
MAYFLY_S3_HANDLER(get_object_attributes);
MAYFLY_S3_HANDLER(delete_object);
MAYFLY_S3_HANDLER(delete_objects);
MAYFLY_S3_HANDLER(copy_object);
MAYFLY_S3_HANDLER(list_objects);
MAYFLY_S3_HANDLER(list_objects_v2);
MAYFLY_S3_HANDLER(list_versions);
MAYFLY_S3_HANDLER(create_upload);
MAYFLY_S3_HANDLER(upload_part);
MAYFLY_S3_HANDLER(upload_part_copy);
MAYFLY_S3_HANDLER(complete_upload);
MAYFLY_S3_HANDLER(abort_upload);
MAYFLY_S3_HANDLER(list_parts);
MAYFLY_S3_HANDLER(list_uploads);
MAYFLY_S3_HANDLER(delete_policy);
MAYFLY_S3_HANDLER(delete_bucket_tags);
MAYFLY_S3_HANDLER(delete_object_tags);
MAYFLY_S3_HANDLER(get_policy);
MAYFLY_S3_HANDLER(get_policy_status);
MAYFLY_S3_HANDLER(get_bucket_tags);
MAYFLY_S3_HANDLER(get_object_tags);
MAYFLY_S3_HANDLER(put_policy);
MAYFLY_S3_HANDLER(put_bucket_tags);
MAYFLY_S3_HANDLER(put_object_tags);
MAYFLY_S3_HANDLER(put_versioning);
MAYFLY_S3_HANDLER(get_versioning);
MAYFLY_S3_HANDLER(put_notifications);
MAYFLY_S3_HANDLER(get_notifications);
#undef MAYFLY_S3_HANDLER

}  // namespace mayfly::services::s3
