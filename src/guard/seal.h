// Sealing of short texts (session tokens) under the server's key with AES-256-GCM.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace mayfly::guard {

// base64url of
//   +---------+------------+------------+-----------+
//   | version | nonce      | ciphertext | tag       |
//   | 1 byte  | 12 bytes   | n bytes    | 16 bytes  |
//   +---------+------------+------------+-----------+
// `key` is 32 bytes long; the version byte is authenticated too.
Result<std::string> seal(std::string_view key, std::string_view text, Random& random);
// `corrupt` for anything that was not sealed under this key.
Result<std::string> unseal(std::string_view key, std::string_view sealed);

// RFC 4648 base32 without padding, as access key ids use it.
std::string base32(std::string_view bytes);

}  // namespace mayfly::guard
