// The errors of SQS that its model does not name, and those that many operations answer.
#pragma once

#include <string>
#include <string_view>

#include "api/sqs.h"
#include "base/result.h"

namespace mayfly::services::sqs {

namespace model = api::sqs;
using api::ApiResult;
using Refusal = std::unexpected<api::ApiError>;

// 400 InvalidParameterValue (JSON: InvalidParameterValueException).
Refusal invalid_parameter(std::string message);
// "Value V for parameter P is invalid. Reason: R"
Refusal invalid_value(std::string_view value, std::string_view parameter, std::string_view reason);
// 400 MissingParameter (JSON: MissingRequiredParameterException).
Refusal missing_parameter(std::string_view parameter);
Refusal no_such_queue();
Refusal unsupported(std::string message);
Refusal bad_attribute(std::string_view name, std::string_view reason = {});
// The error of a room below.
api::ApiError api_error(const Error& error);

}  // namespace mayfly::services::sqs
