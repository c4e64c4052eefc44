// Url: an absolute http or https URL, in the parts that a client needs. RFC 3986, without what has
// no meaning here: another scheme is refused, a fragment is left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mayfly::io {

struct Url {
  bool secure = false;       // https
  std::string host;          // lower case; an IPv6 literal without its brackets
  std::uint16_t port = 80;   // 443 for https, where the URL names none
  std::string authority;     // as a Host field has it: without a port that is the scheme's own
  std::string target = "/";  // path and query, percent-encoded as they were
  std::string user_info;     // "user:password", decoded; empty: none
};

// Kind invalid, with the reason. White space and control characters are refused everywhere, so that
// no part of it can end a line of a request.
Result<Url> parse_url(std::string_view text);

}  // namespace mayfly::io
