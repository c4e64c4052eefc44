#include "api/error.h"

#include <fmt/format.h>

namespace mayfly::api {

ApiError not_implemented(std::string_view service, std::string_view operation) {
  return {.code = "NotImplementedException",
          .http_status = 501,
          .message = fmt::format("The operation {}:{} is not implemented by this server yet.",
                                 service, operation),
          .sender_fault = false,
          .detail = {}};
}

ApiError access_denied(std::string message) {
  return {.code = "AccessDeniedException",
          .http_status = 403,
          .message = std::move(message),
          .sender_fault = true,
          .detail = {}};
}

ApiError validation(std::string message) {
  return {.code = "ValidationException",
          .http_status = 400,
          .message = std::move(message),
          .sender_fault = true,
          .detail = {}};
}

ApiError internal_failure(std::string message) {
  return {.code = "InternalFailure",
          .http_status = 500,
          .message = std::move(message),
          .sender_fault = false,
          .detail = {}};
}

ApiError service_unavailable(std::string message) {
  return {.code = "ServiceUnavailable",
          .http_status = 503,
          .message = std::move(message),
          .sender_fault = false,
          .detail = {}};
}

ApiError unknown_operation(std::string message) {
  return {.code = "UnknownOperationException",
          .http_status = 404,
          .message = std::move(message),
          .sender_fault = true,
          .detail = {}};
}

}  // namespace mayfly::api
