// What the operations that run a function have in common: their input checked, and the invoker's
// errors as this API names them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "services/lambda/errors.h"

namespace mayfly::lambda {

ApiResult<void> check_payload(std::string_view payload);
// Decoded, or empty.
ApiResult<std::string> read_client_context(std::optional<std::string_view> text);
api::ApiError platform_error(const Error& error);

}  // namespace mayfly::lambda
