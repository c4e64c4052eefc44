// Names of blobs.
#pragma once

#include <string>
#include <string_view>

namespace mayfly::store {

std::string sha256_hex(std::string_view bytes);
// 64 lower-case hex digits: what may become a file name.
bool is_sha256_hex(std::string_view text);

}  // namespace mayfly::store
