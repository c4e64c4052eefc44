// Any text as an expression; what is taken has times that only grow.
#include <cstdint>
#include <cstdlib>

#include "wire/cron.h"

using namespace mayfly;
using namespace mayfly::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)ScheduleExpression::parse(text, ScheduleExpression::Dialect::rule);
  auto parsed = ScheduleExpression::parse(text);
  if (!parsed) return 0;
  std::int64_t after = 1'900'000'000;
  for (int i = 0; i < 3; ++i) {
    auto next = parsed->next(after, *TimeZone::utc(), after);
    if (!next) break;
    if (*next < after || (i > 0 && *next == after)) std::abort();
    after = *next;
  }
  return 0;
}
