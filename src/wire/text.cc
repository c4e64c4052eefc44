#include "wire/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace mayfly::wire {

namespace {

constexpr std::string_view standard_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t bad = 0xff;

constexpr std::array<std::uint8_t, 256> reverse(std::string_view alphabet) {
  std::array<std::uint8_t, 256> table{};
  table.fill(bad);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr auto standard_reverse = reverse(standard_alphabet);
constexpr auto url_reverse = reverse(url_alphabet);

std::string encode64(std::string_view bytes, std::string_view alphabet, bool pad) {
  std::string out;
  out.resize((bytes.size() + 2) / 3 * 4);
  auto byte = [&](std::size_t i) -> std::uint32_t { return static_cast<unsigned char>(bytes[i]); };
  std::size_t in = 0;
  // Packages of 50 MiB pass through here on the loop's thread: bare pointers keep the loop tight.
  const char* digits = alphabet.data();
  char* write = out.data();
  for (const std::size_t whole = bytes.size() / 3 * 3; in < whole; in += 3, write += 4) {
    std::uint32_t group = byte(in) << 16 | byte(in + 1) << 8 | byte(in + 2);
    write[0] = digits[group >> 18];
    write[1] = digits[group >> 12 & 63];
    write[2] = digits[group >> 6 & 63];
    write[3] = digits[group & 63];
  }
  auto to = static_cast<std::size_t>(write - out.data());
  std::size_t rest = bytes.size() - in;
  if (rest == 0) return out;
  std::uint32_t group = byte(in) << 16 | (rest == 2 ? byte(in + 1) << 8 : 0);
  out[to++] = alphabet[group >> 18 & 63];
  out[to++] = alphabet[group >> 12 & 63];
  if (rest == 2) out[to++] = alphabet[group >> 6 & 63];
  if (!pad) {
    out.resize(to);
    return out;
  }
  while (to < out.size()) out[to++] = '=';
  return out;
}

std::unexpected<Error> bad_base64(std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("not valid base64: {}", why));
}

// `text` without padding.
Result<std::string> decode64(std::string_view text, const std::array<std::uint8_t, 256>& table) {
  if (text.size() % 4 == 1) return bad_base64("wrong length");
  std::string out;
  out.resize(text.size() * 3 / 4);
  auto digit = [&](std::size_t i) { return table[static_cast<unsigned char>(text[i])]; };
  std::size_t in = 0;
  char* write = out.data();
  std::uint32_t seen = 0;  // all digits or-ed: one check at the end
  for (const std::size_t whole = text.size() / 4 * 4; in < whole; in += 4, write += 3) {
    std::uint32_t a = digit(in), b = digit(in + 1), c = digit(in + 2), d = digit(in + 3);
    seen |= a | b | c | d;
    std::uint32_t group = a << 18 | b << 12 | c << 6 | d;
    write[0] = static_cast<char>(group >> 16);
    write[1] = static_cast<char>(group >> 8);
    write[2] = static_cast<char>(group);
  }
  if (seen & 0xc0) return bad_base64("unexpected character");
  auto to = static_cast<std::size_t>(write - out.data());
  std::size_t rest = text.size() - in;
  if (rest == 0) return out;
  std::uint32_t a = digit(in), b = digit(in + 1), c = rest == 3 ? digit(in + 2) : 0;
  if ((a | b | c) & 0xc0) return bad_base64("unexpected character");
  std::uint32_t group = a << 18 | b << 12 | c << 6;
  if (group & (rest == 3 ? 0xffu : 0xffffu)) return bad_base64("stray bits at the end");
  out[to++] = static_cast<char>(group >> 16);
  if (rest == 3) out[to++] = static_cast<char>(group >> 8);
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

std::string base64_encode(std::string_view bytes) {
  return encode64(bytes, standard_alphabet, true);
}

Result<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return bad_base64("wrong length");
  if (text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
  return decode64(text, standard_reverse);
}

std::string base64url_encode(std::string_view bytes) {
  return encode64(bytes, url_alphabet, false);
}

Result<std::string> base64url_decode(std::string_view text) {
  if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return bad_base64("wrong length");
    text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  return decode64(text, url_reverse);
}

std::string hex_encode(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (unsigned char c : bytes) {
    out += digits[c >> 4];
    out += digits[c & 15];
  }
  return out;
}

Result<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return fail(ErrorKind::invalid, "not valid hex: odd length");
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return fail(ErrorKind::invalid, "not valid hex: unexpected character");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string percent_encode(std::string_view text, Slash slash) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (char c : text) {
    if (unreserved(c) || (c == '/' && slash == Slash::keep)) {
      out += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::blank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return fail(ErrorKind::invalid, fmt::format("bad percent-encoding at offset {}", i));
      }
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
  }
  return out;
}

Result<Pairs> parse_query(std::string_view text, Plus plus) {
  Pairs pairs;
  for (std::string_view part : split(text, '&')) {
    if (part.empty()) continue;
    auto equals = part.find('=');
    TRY_ASSIGN(auto name, percent_decode(part.substr(0, equals), plus));
    std::string value;
    if (equals != part.npos) {
      TRY_ASSIGN(value, percent_decode(part.substr(equals + 1), plus));
    }
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

const std::string* find_pair(const Pairs& pairs, std::string_view name) {
  for (const auto& pair : pairs) {
    if (pair.first == name) return &pair.second;
  }
  return nullptr;
}

const std::string* find_pair_nocase(const Pairs& pairs, std::string_view name) {
  for (const auto& pair : pairs) {
    if (iequals(pair.first, name)) return &pair.second;
  }
  return nullptr;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return out;
}

bool istarts_with(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    if (text[i] != prefix[i] && lower(text[i]) != lower(prefix[i])) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  if (!text.empty() && text.front() > ' ' && text.back() > ' ') return text;  // most texts
  auto first = text.find_first_not_of(blanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  parts.reserve(8);
  while (true) {
    auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == text.npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// Unicode standard, table 3-7.
std::size_t utf8_sequence(std::string_view text, std::size_t at) {
  auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  if (first < 0xe0) return tail(1) ? 2 : 0;
  if (first < 0xf0) {
    bool second =
        byte(1) >= (first == 0xe0 ? 0xa0u : 0x80u) && byte(1) <= (first == 0xed ? 0x9fu : 0xbfu);
    return second && tail(2) ? 3 : 0;
  }
  bool second =
      byte(1) >= (first == 0xf0 ? 0x90u : 0x80u) && byte(1) <= (first == 0xf4 ? 0x8fu : 0xbfu);
  return second && tail(2) && tail(3) ? 4 : 0;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = utf8_sequence(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::size_t utf8_length(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    put(0x80 | (code_point & 63));
  } else if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 63));
    put(0x80 | (code_point & 63));
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 63));
    put(0x80 | (code_point >> 6 & 63));
    put(0x80 | (code_point & 63));
  }
}

std::string format_double(double value) {
  std::array<char, 32> buffer{};
  auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return std::string(buffer.data(), end);
}

Result<std::int64_t> parse_int(std::string_view text) {
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is out of range", text));
  }
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not an integer", text));
  }
  return value;
}

Result<double> parse_double(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not a number", text));
  }
  return value;
}

}  // namespace mayfly::wire
