// The head of a request as nearly every client writes it, read in one pass. Whatever is less plain
// (another method or version, a transfer encoding, doubtful bytes, a head that is not there whole)
// is left to llhttp and the checks of http1.cc, which know what to answer.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "io/http1.h"

namespace mayfly::io::http1 {

struct PlainHead {
  int method = 0;  // llhttp's number
  std::string_view target;
  std::size_t size = 0;  // of the whole head
};

// Fills `fields`, whose names are tokens and whose values are trimmed and without control
// characters: what is answered has passed every check of a head's lines.
std::optional<PlainHead> read_plain_head(std::string_view buffer, const HeadLimits& limits,
                                         std::vector<Field>& fields);

inline constexpr auto token_bytes = [] {
  std::array<bool, 256> out{};
  for (int c = '0'; c <= '9'; ++c) out[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) out[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) out[static_cast<std::size_t>(c)] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) out[static_cast<unsigned char>(c)] = true;
  return out;
}();
inline bool is_token_byte(char c) { return token_bytes[static_cast<unsigned char>(c)]; }

}  // namespace mayfly::io::http1
