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
// Of a member that must be there.
Refusal not_given(std::string_view name);
Refusal no_topic();
Refusal no_subscription();
Refusal not_allowed(std::string_view why);  // AuthorizationError
// 501 that names what is not built.
Refusal not_built(std::string_view what);
// The error of a room below.
api::ApiError api_error(const Error& error);

}  // namespace mayfly::services::sns
