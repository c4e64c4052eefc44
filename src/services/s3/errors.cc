#include "services/s3/errors.h"

#include "base/log.h"

namespace mayfly::services::s3 {

namespace {

// Errors of an upload name their code in Error::reason (api/operation.h).
struct UploadError {
  std::string_view code;
  int status;
};
constexpr UploadError upload_errors[] = {
    {"BadDigest", 400},
    {"IncompleteBody", 400},
    {"EntityTooLarge", 400},
    {"EntityTooSmall", 400},
    {"InvalidChunkSizeError", 403},
    {"MalformedTrailerError", 400},
    {"MissingContentLength", 411},
    {"RequestTimeout", 400},
    {"SignatureDoesNotMatch", 403},
    {"XAmzContentSHA256Mismatch", 400},
};

}  // namespace

Refusal refuse(std::string_view code, int http_status, std::string message) {
  return Refusal(api::ApiError{.code = std::string(code),
                               .http_status = http_status,
                               .message = std::move(message),
                               .sender_fault = http_status < 500,
                               .detail = {}});
}

Refusal invalid_argument(std::string message) {
  return refuse("InvalidArgument", 400, std::move(message));
}

Refusal invalid_request(std::string message) {
  return refuse("InvalidRequest", 400, std::move(message));
}

Refusal malformed_xml() {
  return refuse("MalformedXML", 400,
                "The XML you provided was not well-formed or did not validate against our "
                "published schema");
}

Refusal no_such_bucket() {
  return refuse("NoSuchBucket", 404, "The specified bucket does not exist");
}

Refusal no_such_key() { return refuse("NoSuchKey", 404, "The specified key does not exist."); }

Refusal no_such_version() {
  return refuse("NoSuchVersion", 404, "The specified version does not exist.");
}

Refusal no_such_upload() {
  return refuse("NoSuchUpload", 404,
                "The specified upload does not exist. The upload ID may be invalid, or the upload "
                "may have been aborted or completed.");
}

Refusal method_not_allowed() {
  return refuse("MethodNotAllowed", 405,
                "The specified method is not allowed against this resource.");
}

Refusal access_denied() { return refuse("AccessDenied", 403, "Access Denied"); }

Refusal precondition_failed(std::string_view condition) {
  return refuse(
      "PreconditionFailed", 412,
      fmt::format("At least one of the pre-conditions you specified did not hold ({})", condition));
}

Refusal not_modified(std::string_view etag) {
  auto out = refuse("NotModified", 304, "Not Modified");
  out.error().headers.emplace_back("ETag", fmt::format("\"{}\"", etag));
  return out;
}

Refusal not_built(std::string_view what) {
  return refuse("NotImplemented", 501, fmt::format("{} not implemented by this server.", what));
}

api::ApiError api_error(const Error& error) {
  for (const auto& one : upload_errors) {
    if (error.reason == one.code) return refuse(one.code, one.status, error.message).error();
  }
  switch (error.kind) {
    case ErrorKind::not_found: return no_such_bucket().error();
    case ErrorKind::invalid: return invalid_argument(error.message).error();
    case ErrorKind::timeout: return refuse("RequestTimeout", 400, error.message).error();
    case ErrorKind::cancelled:
    case ErrorKind::throttled:
    case ErrorKind::unavailable: return refuse("SlowDown", 503, error.message).error();
    default:
      log::error("s3", "{}", error.message);
      return refuse("InternalError", 500, "We encountered an internal error. Please try again.")
          .error();
  }
}

}  // namespace mayfly::services::s3
