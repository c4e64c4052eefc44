// Any bytes as the file of a time zone, and as a rule.
#include <cstdint>

#include "wire/time_zone.h"

using namespace mayfly;
using namespace mayfly::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto rule = YearlyRule::parse(bytes)) (void)rule->offset_at(1'900'000'000);
  auto zone = TimeZone::parse(bytes);
  if (!zone) return 0;
  for (std::int64_t at :
       {std::int64_t{0}, std::int64_t{1'900'000'000}, std::int64_t{7'000'000'000}}) {
    (void)zone->instants(at);
    (void)zone->instant(at);
  }
  return 0;
}
