#include "telemetry/log_packing.h"

#include <array>
#include <cstdint>

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

constexpr std::array<std::int8_t, 256> digits = [] {
  std::array<std::int8_t, 256> out{};
  out.fill(-1);
  for (int i = 0; i < 16; ++i) {
    out[static_cast<unsigned char>("0123456789abcdef"[i])] = static_cast<std::int8_t>(i);
  }
  return out;
}();

bool is_dash(std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; }

// The 16 bytes of an id that stands at the front of the text; false where none does.
bool read_id(std::string_view text, std::array<char, id_bytes>& out) {
  if (text.size() < id_chars) return false;
  std::size_t at = 0;
  for (char& byte : out) {
    if (is_dash(at) && text[at++] != '-') return false;
    int high = digits[static_cast<unsigned char>(text[at])];
    int low = digits[static_cast<unsigned char>(text[at + 1])];
    if ((high | low) < 0) return false;
    byte = static_cast<char>(high << 4 | low);
    at += 2;
  }
  return true;
}

void write_id(std::string& out, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out.push_back('-');
    auto byte = static_cast<unsigned char>(bytes[i]);
    out.push_back("0123456789abcdef"[byte >> 4]);
    out.push_back("0123456789abcdef"[byte & 15]);
  }
}

// The number of the phrase at the front of the text, or of none.
std::size_t phrase_at(std::string_view text, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    std::string_view phrase = phrases[i];
    // Two characters tell most of them apart.
    if (text.size() < phrase.size() || text[1] != phrase[1] || text[5] != phrase[5]) continue;
    if (text.starts_with(phrase)) return i;
  }
  return phrases.size();
}

}  // namespace

bool pack_line(std::string& out, std::string_view text) {
  if (!text.starts_with("START ") && !text.starts_with("END ") && !text.starts_with("REPORT ")) {
    return false;
  }
  std::size_t opening = phrase_at(text, 0, openings);
  std::array<char, id_bytes> id{};
  if (opening == phrases.size() || !read_id(text.substr(phrases[opening].size()), id)) return false;
  const std::size_t before = out.size();
  out.push_back(static_cast<char>(first_phrase + static_cast<int>(opening)));
  out.push_back(id_mark);
  out.append(id.data(), id.size());
  text.remove_prefix(phrases[opening].size() + id_chars);
  while (!text.empty()) {
    char c = text.front();
    std::size_t phrase =
        c == ' ' || c == '\t' ? phrase_at(text, openings, phrases.size()) : phrases.size();
    if (phrase < phrases.size()) {
      out.push_back(static_cast<char>(first_phrase + static_cast<int>(phrase)));
      text.remove_prefix(phrases[phrase].size());
      continue;
    }
    if (static_cast<unsigned char>(c) < 0x20 && c != '\t') {
      out.resize(before);
      return false;
    }
    out.push_back(c);
    text.remove_prefix(1);
  }
  return true;
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
