// Bytes of a hostile guest against the frame parsers.
#include <cstdint>

#include "guest/lambda/lean.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size >= mayfly::guest::frame_head_bytes) {
    auto head = mayfly::guest::parse_frame_head(bytes.substr(0, mayfly::guest::frame_head_bytes));
    if (head && head->length > mayfly::guest::frame_body_max_bytes) __builtin_trap();
  }
  auto body = mayfly::guest::parse_labelled_body(bytes);
  if (body && body->label.size() + body->rest.size() + 2 != size) __builtin_trap();
  return 0;
}
