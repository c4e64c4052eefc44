// Any bytes as templates (one a line) and as the path that is looked up in them.
#include <cstdint>

#include "wire/route.h"

using namespace mayfly;
using namespace mayfly::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto lines = split(bytes, '\n');
  std::vector<Route> routes;
  for (std::size_t i = 1; i < lines.size() && i < 16; ++i) routes.push_back({"GET", lines[i]});
  auto table = RouteTable::build(routes);
  if (!table) return 0;
  (void)table->match("GET", lines[0], {{"a", "b"}});
  (void)table->knows_path(lines[0]);
  return 0;
}
