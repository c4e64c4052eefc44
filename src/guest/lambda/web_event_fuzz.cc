// Any bytes as the event of a function that is a web server. The request that comes of it must be
// one: a line and headers of HTTP, whatever the event holds.
#include <cstdint>
#include <cstdlib>

#include "guest/lambda/web_event.h"
#include "io/http1.h"

using namespace mayfly;
using namespace mayfly::guest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  InvokeRequest event;
  event.payload.assign(reinterpret_cast<const char*>(data), size);
  WebServer server;
  server.remove_base_path = "/a";
  auto request = web_request(event, server);
  if (!request) return 0;
  if (!io::http1::is_token(request->method)) std::abort();
  if (!request->target.starts_with('/')) std::abort();
  for (char c : request->target) {
    if (c <= 0x20 || c >= 0x7f || c == '#') std::abort();
  }
  WebResponse response{.status = 200, .headers = request->headers, .body = request->body};
  (void)web_answer(request->form, response);
  (void)web_prelude(response);
  return 0;
}
