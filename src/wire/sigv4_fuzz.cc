// Any bytes as the parts of a signed request, and as a body in chunks.
#include <cstdint>

#include "wire/sigv4.h"

using namespace mayfly::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string_view first = bytes.substr(0, size / 2);
  std::string_view second = bytes.substr(size / 2);
  sigv4::HeaderView headers[] = {{"Authorization", first}, {"X-Amz-Date", second}};
  sigv4::Request request{"GET", first, second, headers};
  (void)sigv4::peek_claim(request);
  if (auto claim = sigv4::parse_claim(request); claim && *claim) {
    (void)sigv4::canonical_request(request, (*claim)->signed_names(), second, {});
  }
  (void)sigv4::canonical_request(request, {}, second, sigv4::s3_path);
  for (auto kind : {sigv4::Streaming::unsigned_trailer, sigv4::Streaming::signed_chunks}) {
    sigv4::ChunkDecoder decoder(kind, {});
    std::string out;
    if (decoder.feed(first, out)) (void)decoder.feed(second, out);
  }
  return 0;
}
