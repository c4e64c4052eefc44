#include "services/lambda/lineage.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <span>

namespace mayfly::lambda {

namespace {

// A chain leads through few functions; a longer list is no lineage of ours.
constexpr std::size_t entries_max = 64;
constexpr std::size_t hash_digits = 8;
constexpr int count_max = 1'000'000;

// FNV-1a: short, the same after every start, and nobody gains by a collision.
using Digits = std::array<char, hash_digits>;
Digits hex_of(std::uint32_t value) {
  Digits out{};
  for (std::size_t i = out.size(); i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  return out;
}
Digits hash_of(std::string_view arn) {
  std::uint32_t hash = 2166136261u;
  for (char c : arn) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hex_of(hash);
}

// S: seconds, R: the rest of the root, P: the parent.
constexpr std::string_view fresh_form =
    "Root=1-SSSSSSSS-RRRRRRRRRRRRRRRRRRRRRRRR;Parent=PPPPPPPPPPPPPPPP;Sampled=0";

void write_hex(char* at, std::span<const std::byte> bytes) {
  for (std::byte byte : bytes) {
    *at++ = "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
    *at++ = "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
  }
}

bool read_count(std::string_view text, int& count) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  return error == std::errc{} && end == text.data() + text.size() && count >= 0 &&
         count < count_max;
}

// Adds one for `hash`; false where the list is not one of ours.
bool count_up(std::string_view list, std::string_view hash, std::string& out, int& invocations) {
  std::size_t entries = 0;
  while (!list.empty()) {
    std::string_view entry = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), entry.size() + 1));
    int count = 0;
    bool good = ++entries <= entries_max && entry.size() > hash_digits &&
                entry[hash_digits] == ':' && read_count(entry.substr(hash_digits + 1), count);
    if (!good) return false;
    if (entry.starts_with(hash)) {
      invocations = count + 1;
      continue;
    }
    out.append(entry).push_back(',');
  }
  return true;
}

}  // namespace

std::string fresh_trace(Random& random, WallTime now) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  Digits digits = hex_of(static_cast<std::uint32_t>(seconds));
  // Two draws, each as short as identifiers are: those come from memory.
  std::array<std::byte, 12> root;
  std::array<std::byte, 8> parent;
  random.fill(root);
  random.fill(parent);
  std::string out(fresh_form);
  std::ranges::copy(digits, out.data() + fresh_form.find("SS"));
  write_hex(out.data() + fresh_form.find("RR"), root);
  write_hex(out.data() + fresh_form.find("PP"), parent);
  return out;
}

Hop next_hop(std::string_view header, std::string_view arn, std::string_view fresh) {
  constexpr std::string_view key = "Lineage=";
  auto digits = hash_of(arn);
  std::string_view hash(digits.data(), digits.size());
  std::string others;
  Hop out;
  out.header.reserve(header.size() + fresh.size() + 32);
  std::string_view rest = header;
  while (!rest.empty()) {
    std::string_view field = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(rest.size(), field.size() + 1));
    if (!field.starts_with(key)) {
      out.header.append(field).push_back(';');
    } else if (!count_up(field.substr(key.size()), hash, others, out.invocations)) {
      others.clear();
      out.invocations = 0;
    }
  }
  if (out.header.empty()) out.header.append(fresh).push_back(';');
  out.invocations = std::max(out.invocations, 1);
  std::array<char, 16> count{};
  auto end = std::to_chars(count.data(), count.data() + count.size(), out.invocations).ptr;
  out.header.append(key).append(others).append(hash).push_back(':');
  out.header.append(count.data(), end);
  return out;
}

}  // namespace mayfly::lambda
