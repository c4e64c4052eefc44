// Any bytes as JSON. What is accepted must read back the same from what is written, both ways.
#include <cstdint>
#include <cstdlib>

#include "wire/json.h"

using namespace mayfly;
using namespace mayfly::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto value = parse_json(bytes);
  if (!value) return 0;
  std::string text = value->dump();
  auto again = parse_json(text);
  if (!again || again->dump() != text) std::abort();
  auto pretty = parse_json(value->dump_pretty());
  if (!pretty || pretty->dump() != text) std::abort();
  return 0;
}
