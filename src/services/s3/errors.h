// The errors of S3 (API reference, "Error responses": codes, statuses and texts).
#pragma once

#include <string>
#include <string_view>

#include "api/s3.h"
#include "base/result.h"

namespace mayfly::services::s3 {

namespace model = api::s3;
using api::ApiResult;
using Refusal = std::unexpected<api::ApiError>;

Refusal refuse(std::string_view code, int http_status, std::string message);
Refusal invalid_argument(std::string message);  // 400 InvalidArgument
Refusal invalid_request(std::string message);   // 400 InvalidRequest
Refusal malformed_xml();
Refusal no_such_bucket();
Refusal no_such_key();
Refusal no_such_version();
Refusal no_such_upload();
Refusal method_not_allowed();
Refusal access_denied();
Refusal precondition_failed(std::string_view condition);
// 304 with the entity tag, which a cache goes on with.
Refusal not_modified(std::string_view etag);
// 501 that names what is not built.
Refusal not_built(std::string_view what);
// The error of a room below.
api::ApiError api_error(const Error& error);

}  // namespace mayfly::services::s3
