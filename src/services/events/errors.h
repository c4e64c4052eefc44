// The errors of EventBridge in the words of the cloud, and the model's names for short.
#pragma once

#include <string>
#include <string_view>

#include "api/events.h"
#include "base/result.h"

namespace mayfly::services::bus {

namespace model = api::events;
using api::ApiResult;
using Refusal = std::unexpected<api::ApiError>;

Refusal invalid(std::string message);                         // 400 ValidationException
Refusal not_found(std::string message);                       // 400 ResourceNotFoundException
Refusal exists(std::string message);                          // 400 ResourceAlreadyExistsException
Refusal over_limit(std::string_view what, std::size_t most);  // 400 LimitExceededException
Refusal bad_pattern(const Error& why);                        // 400 InvalidEventPatternException
Refusal no_bus(std::string_view name);
// The error of a room below.
Refusal failure(const Error& error);

}  // namespace mayfly::services::bus
