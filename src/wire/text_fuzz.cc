// Any bytes as base64, hex, percent-encoding, a query and each form of a time. What is accepted
// must read back from what is written.
#include <cstdint>
#include <cstdlib>

#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto plain = base64_decode(bytes)) require(base64_encode(*plain) == bytes);
  if (auto plain = base64url_decode(bytes)) {
    require(base64url_decode(base64url_encode(*plain)) == *plain);
  }
  require(base64_decode(base64_encode(bytes)) == std::string(bytes));
  if (auto plain = hex_decode(bytes)) require(iequals(hex_encode(*plain), bytes));
  if (auto plain = percent_decode(bytes)) require(percent_decode(percent_encode(*plain)) == *plain);
  (void)parse_query(bytes);
  require(is_utf8(bytes) || !bytes.empty());
  if (auto time = parse_iso8601(bytes)) {
    require(parse_iso8601(format_iso8601(*time)).has_value());
  }
  if (auto time = parse_rfc822(bytes)) {
    require(parse_rfc822(format_rfc822(*time, Fraction::millis)).has_value());
  }
  if (auto time = parse_epoch_seconds(bytes)) {
    require(parse_epoch_seconds(format_epoch_seconds(*time)) == *time);
  }
  if (auto time = parse_amz_date(bytes)) require(parse_amz_date(format_amz_date(*time)) == *time);
  return 0;
}
