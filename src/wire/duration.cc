#include "wire/duration.h"

#include <charconv>
#include <utility>

namespace mayfly::wire {

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  static constexpr std::pair<std::string_view, std::int64_t> units[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  for (const auto& [unit, ms] : units) {
    if (text == unit && number <= INT64_MAX / ms) return number * ms;
  }
  return std::nullopt;
}

}  // namespace mayfly::wire
