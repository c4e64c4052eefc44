// ApiError: the error of an API operation as a value. model-gen writes one named constructor per
// error shape of a service (api::lambda::resource_not_found_exception(message)); the ones every
// service shares are below. front/ renders it, at exactly one place, in the protocol of the call.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "wire/text.h"
#include "wire/value.h"

namespace mayfly::api {

struct ApiError {
  std::string code;
  int http_status = 400;
  std::string message;
  bool sender_fault = true;
  // Further members of the error structure (Reason, Type, retryAfterSeconds …); else empty.
  std::optional<wire::Record> detail;
  // Of the answer, beside those of its protocol: what a 304 or a redirect tells.
  wire::Pairs headers = {};
};

template <class T>
using ApiResult = std::expected<T, ApiError>;

// 501 NotImplementedException naming the operation: nothing unbuilt answers with success.
ApiError not_implemented(std::string_view service, std::string_view operation);
ApiError access_denied(std::string message);        // 403 AccessDeniedException
ApiError validation(std::string message);           // 400 ValidationException
ApiError internal_failure(std::string message);     // 500 InternalFailure
ApiError service_unavailable(std::string message);  // 503 ServiceUnavailable
ApiError unknown_operation(std::string message);    // 404 UnknownOperationException

}  // namespace mayfly::api
