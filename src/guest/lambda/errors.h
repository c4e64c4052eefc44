// Error types and texts of the Runtime API (open-source runtime interface emulator,
// internal/lambda/rapi and fatalerror), shared by both channels.
#pragma once

#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"
#include "guest/channel.h"

namespace mayfly::guest {

inline constexpr std::size_t response_max_bytes = AnswerBounds{}.whole;

// The type as the cloud reports it: kept when it is (Runtime|Function).[A-Z][A-Za-z]+, else
// Runtime.Unknown for a type that starts with "Runtime.", else Function.Unknown.
std::string checked_error_type(std::string_view reported);

// `too_large`, with reason "Function.ResponseSizeTooLarge" and the cloud's text.
Error response_too_large(std::size_t limit = response_max_bytes);

// {"errorMessage":…,"errorType":…}
std::string error_json(std::string_view type, std::string_view message);

}  // namespace mayfly::guest
