#include "base/packed_line.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace mayfly {

namespace {

constexpr char id_mark = 0x01;
constexpr char first_phrase = 0x10;
constexpr std::size_t id_bytes = 16;
constexpr std::size_t id_chars = 36;

// In the order of Phrase.
constexpr std::array<std::string_view, 13> phrases{
    "START RequestId: ", "END RequestId: ",        "REPORT RequestId: ", " Version: $LATEST",
    "\tDuration: ",      " ms\tBilled Duration: ", " ms\tMemory Size: ", " MB\tMax Memory Used: ",
    " MB\t\tCPU: ",      " ms\tBytes In: ",        "\tBytes Out: ",      " MB\t\tBytes In: ",
    " MB\tBytes In: "};
static_assert(phrases.size() == static_cast<std::size_t>(Phrase::mb_bytes_in) + 1);

std::string_view words(Phrase phrase) { return phrases[static_cast<std::size_t>(phrase)]; }

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

std::size_t phrase_of(char c) {
  return static_cast<std::size_t>(static_cast<unsigned char>(c - first_phrase));
}

}  // namespace

PackedLine& PackedLine::add_plain(std::string_view text) {
  if (packed()) plain_ = unpack_line(bytes());
  plain_ += text;
  return *this;
}

PackedLine& PackedLine::phrase(Phrase phrase) {
  if (!packed() || !has_room(1)) return add_plain(words(phrase));
  bytes_[size_++] = static_cast<char>(first_phrase + static_cast<char>(phrase));
  return *this;
}

PackedLine& PackedLine::id(std::string_view id) {
  std::array<char, id_bytes> read;
  bool fits = packed() && has_room(1 + id_bytes);
  if (!fits || id.size() != id_chars || !read_id(id, read)) return add_plain(id);
  bytes_[size_++] = id_mark;
  std::memcpy(&bytes_[size_], read.data(), read.size());
  size_ += read.size();
  return *this;
}

PackedLine& PackedLine::text(std::string_view text) {
  auto itself = [](char c) { return static_cast<unsigned char>(c) >= ' ' || c == '\t'; };
  if (!packed() || !has_room(text.size()) || !std::ranges::all_of(text, itself)) {
    return add_plain(text);
  }
  std::memcpy(bytes_.data() + size_, text.data(), text.size());
  size_ += text.size();
  return *this;
}

PackedLine& PackedLine::number(std::int64_t number) {
  std::array<char, 20> digits;
  char* end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  return text({digits.data(), static_cast<std::size_t>(end - digits.data())});
}

PackedLine& PackedLine::millis(Duration time) {
  std::int64_t hundredths = (time.count() + 5'000) / 10'000;
  std::array<char, 24> digits;
  char* at = std::to_chars(digits.data(), digits.data() + 20, hundredths / 100).ptr;
  auto behind = static_cast<int>(hundredths % 100);
  *at++ = '.';
  *at++ = static_cast<char>('0' + behind / 10);
  *at++ = static_cast<char>('0' + behind % 10);
  return text({digits.data(), static_cast<std::size_t>(at - digits.data())});
}

std::string PackedLine::to_text() const { return packed() ? unpack_line(bytes()) : plain_; }

std::string unpack_line(std::string_view packed) {
  std::string out;
  out.reserve(256);
  while (!packed.empty()) {
    char c = packed.front();
    packed.remove_prefix(1);
    if (c == id_mark) {
      write_id(out, packed.substr(0, id_bytes));
      packed.remove_prefix(std::min(packed.size(), id_bytes));
    } else if (phrase_of(c) < phrases.size()) {
      out.append(phrases[phrase_of(c)]);
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::size_t unpacked_size(std::string_view packed) {
  std::size_t out = 0;
  for (std::size_t at = 0; at < packed.size(); ++at) {
    char c = packed[at];
    if (c == id_mark) {
      out += id_chars;
      at += id_bytes;
    } else {
      out += phrase_of(c) < phrases.size() ? phrases[phrase_of(c)].size() : 1;
    }
  }
  return out;
}

}  // namespace mayfly
