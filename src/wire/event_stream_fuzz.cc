// Hostile bytes against the reader of event streams.
#include <cstdint>

#include "wire/event_stream.h"
#include "wire/hash.h"

namespace {

void put32(std::string& out, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) out[at + i] = static_cast<char>(value >> (24 - 8 * i));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mayfly::wire;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)read_event_message(bytes);
  if (size < 17) return 0;
  // The same with lengths and checksums that are right, so that its headers are looked at.
  std::string sealed(bytes);
  put32(sealed, 0, static_cast<std::uint32_t>(size));
  put32(sealed, 4, static_cast<std::uint32_t>(data[16] % (size - 15)));
  put32(sealed, 8, crc32(std::string_view(sealed).substr(0, 8)));
  put32(sealed, size - 4, crc32(std::string_view(sealed).substr(0, size - 4)));
  auto read = read_event_message(sealed);
  if (read && (!*read || (*read)->size != size)) __builtin_trap();
  // What is written is read.
  std::string made;
  append_event_message(made, {{"name", bytes.substr(0, size % 65'536)}}, bytes);
  auto again = read_event_message(made);
  if (!again || !*again || (*again)->message.payload != bytes) __builtin_trap();
  return 0;
}
