// The errors of SNS that many operations answer.
#pragma once

#include <string>
#include <string_view>

#include "api/sns.h"
#include "base/result.h"

namespace mayfly::services::sns {

namespace model = api::sns;
using api::ApiResult;
using Refusal = std::unexpected<api::ApiError>;

// 400 InvalidParameter: "Invalid parameter: WHAT"
Refusal invalid(std::string_view what);
// "Invalid parameter: NAME Reason: WHY"
Refusal invalid(std::string_view name, std::string_view why);
Refusal no_topic();
Refusal no_subscription();
Refusal not_allowed(std::string_view why);  // AuthorizationError
// 501 that names what is not built.
Refusal not_built(std::string_view what);
// The error of a room below.
api::ApiError api_error(const Error& error);

// What the model asks for is there.
ApiResult<void> check_required(const api::Operation& operation, const wire::Record& input);

}  // namespace mayfly::services::sns
