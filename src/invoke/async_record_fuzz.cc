#include <cstdlib>

#include "invoke/async_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto record = mayfly::invoke::decode_async(bytes);
  if (record && mayfly::invoke::encode(*record) != bytes) std::abort();
  (void)mayfly::invoke::async_due_ms(bytes);
  return 0;
}
