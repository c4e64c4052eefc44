#include "io/http1_plain.h"

#include <llhttp.h>

#include <array>
#include <bit>
#include <cstring>

namespace mayfly::io::http1 {

namespace {

constexpr std::uint64_t ones = 0x0101010101010101;
constexpr std::uint64_t tops = ones * 0x80;

struct Method {
  std::string_view text;  // with the space behind it
  int number;
};
constexpr std::array<Method, 5> methods{{{"POST ", HTTP_POST},
                                         {"GET ", HTTP_GET},
                                         {"PUT ", HTTP_PUT},
                                         {"DELETE ", HTTP_DELETE},
                                         {"HEAD ", HTTP_HEAD}}};

// The first byte from `at` on that may not stand in a field's value.
const char* end_of_value(const char* at, const char* end) {
  static_assert(std::endian::native == std::endian::little);
  while (end - at >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    std::uint64_t del = word ^ (ones * 0x7f);
    // The lowest mark is exact: only above it can a borrow have come along.
    std::uint64_t marks = (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops;
    if (marks == 0) {
      at += 8;
      continue;
    }
    at += std::countr_zero(marks) / 8;
    if (*at != '\t') return at;
    ++at;
  }
  while (at != end && (static_cast<unsigned char>(*at) >= 0x20 || *at == '\t') && *at != 0x7f) ++at;
  return at;
}

std::string_view trimmed(const char* from, const char* to) {
  while (from != to && (*from == ' ' || *from == '\t')) ++from;
  while (from != to && (to[-1] == ' ' || to[-1] == '\t')) --to;
  return {from, static_cast<std::size_t>(to - from)};
}

// The body's framing must be beyond doubt: one length in digits, or none.
bool frames_plainly(const Field& field, bool& has_length) {
  if (field.name.size() == 17) return !equals_ignoring_case(field.name, "transfer-encoding");
  if (field.name.size() != 14 || !equals_ignoring_case(field.name, "content-length")) return true;
  return !std::exchange(has_length, true) && !field.value.empty() &&
         field.value.find_first_not_of("0123456789") == std::string_view::npos;
}

const char* read_request_line(const char* at, const char* end, const HeadLimits& limits,
                              PlainHead& out) {
  for (const auto& [text, number] : methods) {
    if (!std::string_view(at, end).starts_with(text)) continue;
    at += text.size();
    out.method = number;
    std::string_view rest(at, end);
    std::size_t size = rest.find(' ');
    if (!rest.starts_with('/') || size > limits.target_bytes) return nullptr;
    out.target = rest.substr(0, size);
    constexpr std::string_view behind = " HTTP/1.1\r\n";
    if (!rest.substr(size).starts_with(behind)) return nullptr;
    return at + size + behind.size();
  }
  return nullptr;
}

}  // namespace

std::optional<PlainHead> read_plain_head(std::string_view buffer, const HeadLimits& limits,
                                         std::vector<Field>& fields) {
  PlainHead out;
  const char* const begin = buffer.data();
  const char* const end = begin + std::min(buffer.size(), limits.head_bytes);
  const char* at = read_request_line(begin, end, limits, out);
  bool has_length = false;
  while (at != nullptr && end - at >= 2) {
    if (*at == '\r') {
      out.size = static_cast<std::size_t>(at + 2 - begin);
      return at[1] == '\n' ? std::optional(out) : std::nullopt;
    }
    const char* name = at;
    while (at != end && is_token_byte(*at)) ++at;
    if (at == end || *at != ':' || at == name) return std::nullopt;
    const char* value = at + 1;
    const char* stop = end_of_value(value, end);
    Field field{{name, static_cast<std::size_t>(at - name)}, trimmed(value, stop)};
    if (end - stop < 2 || stop[0] != '\r' || stop[1] != '\n') return std::nullopt;
    if (fields.size() >= limits.field_count || !frames_plainly(field, has_length)) {
      return std::nullopt;
    }
    fields.push_back(field);
    at = stop + 2;
  }
  return std::nullopt;
}

}  // namespace mayfly::io::http1
