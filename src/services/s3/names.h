// Names of buckets and objects, and how both are written in ARNs and in rows.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "services/s3/errors.h"

namespace mayfly::services::s3 {

// User guide, "General purpose bucket naming rules"; else InvalidBucketName.
ApiResult<void> check_bucket_name(std::string_view name);
// KeyTooLongError; InvalidURI for what is no UTF-8 or holds a NUL.
ApiResult<void> check_key(std::string_view key);

std::string bucket_arn(std::string_view bucket);  // "arn:aws:s3:::bucket"
// The bucket of an ARN of it or of one of its objects; empty: it is none.
std::string bucket_of_arn(std::string_view arn);
// 64 digits that stand for an account, as S3 has them.
std::string canonical_id(const AccountId& account);

// As lists write it with encoding-type=url, and events always.
std::string url_encoded(std::string_view key);

}  // namespace mayfly::services::s3
