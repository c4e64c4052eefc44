// Input: a filter pattern, a newline, an event.
#include "wire/log_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto end = std::min(text.find('\n'), text.size());
  auto pattern = mayfly::wire::LogPattern::parse(text.substr(0, end));
  if (pattern) (void)pattern->matches(text.substr(std::min(end + 1, text.size())));
  return 0;
}
