// Input: patterns, one a line, and an event in the last. The set and its patterns must agree.
#include <cstdlib>

#include "wire/pattern_set.h"
#include "wire/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mayfly::wire;
  auto lines = split({reinterpret_cast<const char*>(data), size}, '\n');
  auto event = parse_json(lines.back(), {.depth = 64});
  if (!event || !event->is_object()) return 0;
  lines.pop_back();
  PatternSet set;
  std::vector<PatternSet::Id> want;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto pattern = EventPattern::parse(lines[i]);
    if (!pattern) continue;
    if (pattern->matches(*event)) want.push_back(i);
    set.add(i, *std::move(pattern));
  }
  if (set.match(*event) != want) std::abort();
  return 0;
}
