#include "services/lambda/errors.h"

#include "api/lambda.h"

namespace mayfly::lambda {

namespace model = api::lambda;

api::ApiError invalid(std::string message) {
  return model::invalid_parameter_value_exception(std::move(message));
}

api::ApiError function_not_found(std::string_view arn) {
  return model::resource_not_found_exception(fmt::format("Function not found: {}", arn));
}

api::ApiError resource_not_found(std::string message) {
  return model::resource_not_found_exception(std::move(message));
}

api::ApiError conflict(std::string message) {
  return model::resource_conflict_exception(std::move(message));
}

api::ApiError revision_moved(std::string_view call) {
  return model::precondition_failed_exception(
      fmt::format("The Revision Id provided does not match the latest Revision Id. Call the {} API "
                  "to retrieve the latest Revision Id",
                  call));
}

api::ApiError update_in_progress(std::string_view arn) {
  return conflict(
      fmt::format("The operation cannot be performed at this time. An update is in "
                  "progress for resource: {}",
                  arn));
}

api::ApiError too_large(std::size_t limit, std::string_view operation) {
  return model::request_too_large_exception(
      fmt::format("Request must be smaller than {} bytes for the {} operation", limit, operation));
}

api::ApiError throttled(std::string_view reason) {
  api::ApiError error = model::too_many_requests_exception("Rate Exceeded.");
  if (error.detail) {
    int member = error.detail->index("Reason");
    if (member >= 0 && !reason.empty()) {
      error.detail->at(static_cast<std::size_t>(member)) = std::string(reason);
    }
    member = error.detail->index("retryAfterSeconds");
    if (member >= 0) error.detail->at(static_cast<std::size_t>(member)) = std::string("1");
  }
  return error;
}

api::ApiError no_tenants_with(std::string_view feature) {
  return invalid(fmt::format("{} is not supported for functions with tenant isolation.", feature));
}

api::ApiError unbuilt(std::string_view what) {
  return {.code = "NotImplementedException",
          .http_status = 501,
          .message = fmt::format("{} is not implemented by this server yet.", what),
          .sender_fault = false,
          .detail = {}};
}

api::ApiError constraint(std::string_view value, std::string_view member, std::string_view rule) {
  return api::validation(fmt::format(
      "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: {}", value,
      member, rule));
}

std::optional<api::ApiError> by_reason(const Error& error) {
  if (error.reason == "InvalidRuntimeException") {
    return model::invalid_runtime_exception(error.message);
  }
  if (error.reason == "SnapStartException") return model::snap_start_exception(error.message);
  if (error.reason == "SnapStartTimeoutException") {
    return model::snap_start_timeout_exception(error.message);
  }
  if (error.reason == "SnapStartNotReadyException") {
    return model::snap_start_not_ready_exception(error.message);
  }
  return std::nullopt;
}

api::ApiError from(const Error& error) {
  if (auto named = by_reason(error)) return *std::move(named);
  switch (error.kind) {
    case ErrorKind::invalid:
    case ErrorKind::too_large: return invalid(error.message);
    case ErrorKind::not_found: return resource_not_found(error.message);
    case ErrorKind::already_exists:
    case ErrorKind::conflict: return conflict(error.message);
    case ErrorKind::throttled: return throttled(error.reason);
    case ErrorKind::denied:
    case ErrorKind::unauthenticated: return api::access_denied(error.message);
    default: return model::service_exception(error.message);
  }
}

}  // namespace mayfly::lambda
