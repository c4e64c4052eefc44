// Text: the small encodings that every protocol shares. Pure functions; decoders refuse what is
// not exactly right and say where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mayfly::wire {

// RFC 4648 section 4, padded. Decoding refuses blanks, a wrong length and stray bits.
std::string base64_encode(std::string_view bytes);
Result<std::string> base64_decode(std::string_view text);
// RFC 4648 section 5, written without padding; read with or without.
std::string base64url_encode(std::string_view bytes);
Result<std::string> base64url_decode(std::string_view text);

std::string hex_encode(std::string_view bytes);  // lower case
Result<std::string> hex_decode(std::string_view text);

// Everything but A-Z a-z 0-9 - . _ ~ becomes %XX, as SigV4 and RFC 3986 want it.
enum class Slash { encode, keep };
std::string percent_encode(std::string_view text, Slash slash = Slash::encode);
// Forms write a blank as '+'; paths mean a plus by it.
enum class Plus { literal, blank };
Result<std::string> percent_decode(std::string_view text, Plus plus = Plus::literal);

using Pairs = std::vector<std::pair<std::string, std::string>>;
// Fields of a head, as they lie in its bytes.
using FieldViews = std::vector<std::pair<std::string_view, std::string_view>>;
// "a=1&b&c=x%20y" in order; names are decoded too, empty parts are skipped.
Result<Pairs> parse_query(std::string_view text, Plus plus = Plus::blank);
// nullptr where absent; the first one where repeated.
const std::string* find_pair(const Pairs& pairs, std::string_view name);
const std::string* find_pair_nocase(const Pairs& pairs, std::string_view name);

// ASCII only: header names and protocol keywords never need more.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);
bool istarts_with(std::string_view text, std::string_view prefix);
inline bool iequals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && istarts_with(a, b);
}
std::string_view trim(std::string_view text);  // blanks, tabs, line ends
std::vector<std::string_view> split(std::string_view text, char separator);
// Well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text);
// Bytes of the well-formed sequence at `at`, 0 where there is none.
std::size_t utf8_sequence(std::string_view text, std::size_t at);
// Characters (code points) of well-formed UTF-8.
std::size_t utf8_length(std::string_view text);
void append_utf8(std::string& out, std::uint32_t code_point);

// Shortest text that reads back as the same number: 0.1 stays "0.1", 5.0 is "5".
std::string format_double(double value);
// The whole text must be the number.
Result<std::int64_t> parse_int(std::string_view text);
Result<double> parse_double(std::string_view text);  // no "nan" or "inf"

// Times are milliseconds since the epoch, UTC. Formatting clamps to the years 0001 to 9999.
enum class Fraction { none, millis, as_needed };
// "2020-01-02T03:04:05Z" / "2020-01-02T03:04:05.006Z"
std::string format_iso8601(std::int64_t epoch_millis, Fraction fraction = Fraction::as_needed);
// Accepts a fraction of any length, "Z" or an offset ("+01:00", "+0100").
Result<std::int64_t> parse_iso8601(std::string_view text);
// "Thu, 02 Jan 2020 03:04:05 GMT", with ".006" before GMT where asked for.
std::string format_rfc822(std::int64_t epoch_millis, Fraction fraction = Fraction::none);
Result<std::int64_t> parse_rfc822(std::string_view text);
// "1577934245" or "1577934245.006"
std::string format_epoch_seconds(std::int64_t epoch_millis);
Result<std::int64_t> parse_epoch_seconds(std::string_view text);
// SigV4's "20200102T030405Z".
std::string format_amz_date(std::int64_t epoch_millis);
Result<std::int64_t> parse_amz_date(std::string_view text);

}  // namespace mayfly::wire
