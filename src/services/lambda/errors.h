// Errors: the texts of the Lambda API's errors, each named once. Codes, statuses and the Type
// member come from the model (api/lambda.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/error.h"
#include "base/result.h"

namespace mayfly::lambda {

template <class T>
using ApiResult = api::ApiResult<T>;

inline std::unexpected<api::ApiError> refuse(api::ApiError error) {
  return std::unexpected<api::ApiError>(std::move(error));
}

api::ApiError invalid(std::string message);  // InvalidParameterValueException
api::ApiError function_not_found(std::string_view arn);
api::ApiError resource_not_found(
    std::string message = "The resource you requested does not exist.");
api::ApiError conflict(std::string message);          // ResourceConflictException
api::ApiError revision_moved(std::string_view call);  // 412; `call` like "GetFunction/GetAlias"
api::ApiError update_in_progress(std::string_view arn);
api::ApiError too_large(std::size_t limit, std::string_view operation);  // 413
api::ApiError throttled(std::string_view reason);                        // 429
// What functions with tenant isolation cannot have (developer guide, "Tenant isolation").
api::ApiError no_tenants_with(std::string_view feature);
// A part of a known operation that this server does not have yet.
api::ApiError unbuilt(std::string_view what);
// "1 validation error detected: Value '…' at '…' failed to satisfy constraint: …".
api::ApiError constraint(std::string_view value, std::string_view member, std::string_view rule);
// An error whose reason is the code of one of the API's own.
std::optional<api::ApiError> by_reason(const Error& error);
// What a lower room failed with.
api::ApiError from(const Error& error);

}  // namespace mayfly::lambda
