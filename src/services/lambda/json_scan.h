// A validating scan of JSON text without building anything: what an invocation's payload is checked
// with on its way through.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mayfly::lambda {

struct JsonFault {
  std::size_t at = 0;  // byte offset
  std::string_view what;
};

// nullopt: one well-formed JSON value (RFC 8259), white space around it allowed, nested at most
// `json_scan_depth` deep, in valid UTF-8.
inline constexpr std::size_t json_scan_depth = 1000;
std::optional<JsonFault> scan_json(std::string_view text);

}  // namespace mayfly::lambda
