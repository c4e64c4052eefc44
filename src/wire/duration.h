// Durations as settings write them: "500ms", "5s", "10m", "2h", "1d".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace mayfly::wire {

// Milliseconds. nullopt: not a whole number of one of these units.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);

}  // namespace mayfly::wire
