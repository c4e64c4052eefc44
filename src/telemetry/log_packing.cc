#include "telemetry/log_packing.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace mayfly::telemetry {

namespace {

constexpr char id_mark = 0x01;
constexpr char first_phrase = 0x10;
constexpr std::size_t id_bytes = 16;
constexpr std::size_t id_chars = 36;

// Never changed: logs on the disk hold their numbers. Further ones go to the end. Of two that begin
// alike the longer stands first.
constexpr std::array<std::string_view, 12> phrases{
    "START RequestId: ", "END RequestId: ",        "REPORT RequestId: ", " Version: $LATEST",
    "\tDuration: ",      " ms\tBilled Duration: ", " ms\tMemory Size: ", " MB\tMax Memory Used: ",
    " MB\t\tCPU: ",      " ms\tBytes In: ",        "\tBytes Out: ",      " MB\t\tBytes In: "};
constexpr std::size_t openings = 3;

constexpr std::uint64_t ones = 0x0101010101010101;

// Four bytes of eight lower-case hexadecimal digits; false where one of them is not.
bool read_hex(const char* text, char* out) {
  static_assert(std::endian::native == std::endian::little);
  std::uint64_t word = 0;
  std::memcpy(&word, text, sizeof word);
  std::uint64_t letter = (word >> 6) & ones;  // 'a' to 'f' have this bit, '0' to '9' do not
  std::uint64_t value = (word & (ones * 0x0f)) + letter * 9;
  bool fine = value + ones * '0' + letter * ('a' - 10 - '0') == word &&
              (value & (ones * 0xf0)) == 0 && (((value + ones * 6) >> 4) & ones) == letter;
  if (!fine) return false;
  std::uint64_t bytes = (value << 4 | value >> 8) & 0x00ff00ff00ff00ff;
  bytes = (bytes | bytes >> 8) & 0x0000ffff0000ffff;
  auto packed = static_cast<std::uint32_t>(bytes | bytes >> 16);
  std::memcpy(out, &packed, sizeof packed);
  return true;
}

// The 16 bytes of an id that stands at the front of the text; false where none does.
bool read_id(std::string_view text, std::array<char, id_bytes>& out) {
  if (text.size() < id_chars) return false;
  if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return false;
  std::array<char, 2 * id_bytes> digits;
  const char* from = text.data();
  std::memcpy(digits.data(), from, 8);
  std::memcpy(digits.data() + 8, from + 9, 4);
  std::memcpy(digits.data() + 12, from + 14, 4);
  std::memcpy(digits.data() + 16, from + 19, 4);
  std::memcpy(digits.data() + 20, from + 24, 12);
  return read_hex(digits.data(), out.data()) && read_hex(digits.data() + 8, out.data() + 4) &&
         read_hex(digits.data() + 16, out.data() + 8) &&
         read_hex(digits.data() + 24, out.data() + 12);
}

void write_id(std::string& out, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    auto byte = static_cast<unsigned char>(bytes[i]);
    out.push_back("0123456789abcdef"[byte >> 4]);
    out.push_back("0123456789abcdef"[byte & 15]);
  }
}

constexpr std::size_t word_bytes = sizeof(std::uint64_t);
static_assert(std::ranges::all_of(phrases, [](std::string_view phrase) {
  return phrase.size() >= word_bytes && phrase.size() <= 3 * word_bytes;
}));

std::uint64_t word_at(const char* text) {
  std::uint64_t out = 0;
  std::memcpy(&out, text, sizeof out);
  return out;
}

// Word by word: a call of memcmp costs more than what it compares here.
bool begins_with(std::string_view text, std::string_view phrase) {
  std::size_t size = phrase.size();
  if (text.size() < size) return false;
  auto same = [&](std::size_t at) {
    return word_at(text.data() + at) == word_at(phrase.data() + at);
  };
  return same(0) && same(size - word_bytes) && (size <= 2 * word_bytes || same(word_bytes));
}

// The number of the phrase at the front of the text, or of none.
std::size_t phrase_at(std::string_view text) {
  for (std::size_t i = openings; i < phrases.size(); ++i) {
    if (begins_with(text, phrases[i])) return i;
  }
  return phrases.size();
}

// The number of the phrase that the text begins with, before an id.
std::size_t opening_of(std::string_view text) {
  std::size_t out = text.starts_with('S') ? 0 : text.starts_with('E') ? 1 : 2;
  return begins_with(text, phrases[out]) ? out : phrases.size();
}

// Behind the id. Answers where what is packed ends; null for a text that cannot be packed.
char* pack_rest(std::string_view text, std::size_t opening, char* to) {
  const char* at = text.data();
  const char* const end = at + text.size();
  // Phrases stand in the order of a REPORT, as a rule, which has none of a START's.
  std::size_t next = opening + 1 == openings ? openings + 1 : openings;
  while (true) {
    while (at != end && static_cast<unsigned char>(*at) > ' ') *to++ = *at++;
    if (at == end) return to;
    std::string_view rest(at, end);
    if (*at == ' ' || *at == '\t') {
      bool guessed = next < phrases.size() && begins_with(rest, phrases[next]);
      std::size_t phrase = guessed ? next : phrase_at(rest);
      if (phrase < phrases.size()) {
        *to++ = static_cast<char>(first_phrase + static_cast<int>(phrase));
        at += phrases[phrase].size();
        next = phrase + 1;
        continue;
      }
    } else {
      return nullptr;
    }
    *to++ = *at++;
  }
}

}  // namespace

bool pack_line(std::string& out, std::string_view text) {
  std::size_t opening = opening_of(text);
  std::array<char, id_bytes> id{};
  if (opening == phrases.size() || !read_id(text.substr(phrases[opening].size()), id)) return false;
  const std::size_t before = out.size();
  bool fine = true;
  // Nothing becomes longer by being packed.
  out.resize_and_overwrite(before + text.size(), [&](char* bytes, std::size_t) {
    char* at = bytes + before;
    *at++ = static_cast<char>(first_phrase + static_cast<int>(opening));
    *at++ = id_mark;
    std::memcpy(at, id.data(), id.size());
    at = pack_rest(text.substr(phrases[opening].size() + id_chars), opening, at + id.size());
    fine = at != nullptr;
    return fine ? static_cast<std::size_t>(at - bytes) : before;
  });
  return fine;
}

std::string unpack_line(std::string_view packed) {
  std::string out;
  out.reserve(256);
  while (!packed.empty()) {
    char c = packed.front();
    packed.remove_prefix(1);
    auto phrase = static_cast<std::size_t>(static_cast<unsigned char>(c - first_phrase));
    if (c == id_mark) {
      write_id(out, packed.substr(0, id_bytes));
      packed.remove_prefix(std::min(packed.size(), id_bytes));
    } else if (phrase < phrases.size()) {
      out.append(phrases[phrase]);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace mayfly::telemetry
