// Any bytes: what is taken for a URL has a host and a port, and nothing in it ends a line.
#include <cstdint>
#include <cstdlib>

#include "io/url.h"

using namespace mayfly::io;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto url = parse_url({reinterpret_cast<const char*>(data), size});
  if (!url) return 0;
  bool good = !url->host.empty() && url->port != 0 && url->target.starts_with('/') &&
              (url->target + url->authority).find_first_of("\r\n \t") == std::string::npos;
  if (!good) std::abort();
  return 0;
}
