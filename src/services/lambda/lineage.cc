#include "services/lambda/lineage.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>

namespace mayfly::lambda {

namespace {

// A chain leads through few functions; a longer list is no lineage of ours.
constexpr std::size_t entries_max = 64;
constexpr std::size_t hash_digits = 8;
constexpr int count_max = 1'000'000;

// FNV-1a: short, the same after every start, and nobody gains by a collision.
std::string hash_of(std::string_view arn) {
  std::uint32_t hash = 2166136261u;
  for (char c : arn) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return fmt::format("{:08x}", hash);
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
    out += fmt::format("{},", entry);
  }
  return true;
}

}  // namespace

Hop next_hop(std::string_view header, std::string_view arn, std::string_view fresh) {
  constexpr std::string_view key = "Lineage=";
  std::string hash = hash_of(arn);
  std::string others;
  Hop out;
  std::string_view rest = header;
  while (!rest.empty()) {
    std::string_view field = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(rest.size(), field.size() + 1));
    if (!field.starts_with(key)) {
      out.header += fmt::format("{};", field);
    } else if (!count_up(field.substr(key.size()), hash, others, out.invocations)) {
      others.clear();
      out.invocations = 0;
    }
  }
  if (out.header.empty()) out.header = fmt::format("{};", fresh);
  out.invocations = std::max(out.invocations, 1);
  out.header += fmt::format("{}{}{}:{}", key, others, hash, out.invocations);
  return out;
}

}  // namespace mayfly::lambda
