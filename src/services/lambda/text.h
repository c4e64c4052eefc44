// Text: the small encodings that answers of this service need.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "wire/json.h"

namespace mayfly::lambda {

using wire::json_quoted;
std::string base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);
std::string iso_millis(WallTime time, std::string_view zone);  // "2026-01-01T00:00:00.000" + zone
std::string percent_decoded(std::string_view text, bool plus_is_space);
std::string lower(std::string_view text);

}  // namespace mayfly::lambda
