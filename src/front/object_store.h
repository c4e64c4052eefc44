// What S3 has of its own where every other service is alike: buckets in the host's name, fields
// that travel in the query of a presigned URL, codes of errors.
// Sources: S3 user guide "Virtual hosting of general purpose buckets"; API reference "Error
// responses" and "Authenticating requests: using query parameters".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/operation.h"
#include "wire/text.h"

namespace mayfly::front {

inline bool is_object_store(const api::ServiceModel& model) { return model.name == "s3"; }

// Of a host's labels before its suffix: BUCKET.s3.REGION, BUCKET.s3, s3.REGION, s3; without the
// label s3 all of them are the bucket's name, whose labels may be several.
struct StoreHost {
  bool named = false;  // the label s3 is there
  std::string bucket;
  std::string region;
};
StoreHost store_host(const std::vector<std::string>& labels);

// "/my-bucket/…": the first segment could name a bucket.
bool may_be_bucket_path(std::string_view path);

// SDKs that presign move fields of the request into its query ("x-amz-meta-a=b"): they count as
// fields. The encoding of the transfer is no part of the object's: `kept` holds what of
// Content-Encoding is left.
void adapt_fields(wire::FieldViews& fields, const wire::Pairs& query, bool presigned,
                  std::string& kept);

// An input that cannot be read, from the message that names the member.
api::ApiError store_decode_error(const api::Operation& operation, std::string message);
// Errors that front/ and guard/ make, as S3 names them; S3's own stay what they are.
void name_as_store(api::ApiError& error);

}  // namespace mayfly::front
