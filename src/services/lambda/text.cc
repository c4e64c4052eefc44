#include "services/lambda/text.h"

#include <fmt/chrono.h>

#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::lambda {

std::string base64(std::string_view bytes) { return wire::base64_encode(bytes); }

std::optional<std::string> from_base64(std::string_view text) {
  // Functions write base64 with and without its padding; the cloud takes both.
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string padded(text);
  padded.append((4 - padded.size() % 4) % 4, '=');
  auto bytes = wire::base64_decode(padded);
  return bytes ? std::optional(std::move(*bytes)) : std::nullopt;
}

std::string iso_millis(WallTime time, std::string_view zone) {
  std::int64_t ms = epoch_millis(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}{}",
                     fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000, zone);
}

std::string percent_decoded(std::string_view text, bool plus_is_space) {
  auto plain = wire::percent_decode(text, plus_is_space ? wire::Plus::blank : wire::Plus::literal);
  // A target that is not well encoded reaches the function as it came.
  return plain ? *plain : std::string(text);
}

std::string lower(std::string_view text) { return wire::to_lower(text); }

}  // namespace mayfly::lambda
