#include "wire/event_rule.h"

#include "wire/text.h"

namespace mayfly::wire {

namespace {

std::string ipv4_bytes(std::string_view text) {
  auto parts = split(text, '.');
  if (parts.size() != 4) return {};
  std::string out;
  for (auto part : parts) {
    if (part.empty() || part.size() > 3) return {};
    auto number = parse_int(part);
    if (!number || *number < 0 || *number > 255) return {};
    out += static_cast<char>(*number);
  }
  return out;
}

// Groups of 16 bits between colons, the last two perhaps as an IPv4 address.
bool append_groups(std::string_view text, std::string& out) {
  if (text.empty()) return true;
  auto parts = split(text, ':');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i + 1 == parts.size() && parts[i].find('.') != std::string_view::npos) {
      auto tail = ipv4_bytes(parts[i]);
      out += tail;
      return !tail.empty();
    }
    if (parts[i].empty() || parts[i].size() > 4) return false;
    unsigned group = 0;
    for (char c : parts[i]) {
      auto digit = std::string_view("0123456789abcdef").find(to_lower(std::string_view(&c, 1)));
      if (digit == std::string_view::npos) return false;
      group = group << 4 | static_cast<unsigned>(digit);
    }
    out += static_cast<char>(group >> 8);
    out += static_cast<char>(group & 0xff);
  }
  return true;
}

std::string ipv6_bytes(std::string_view text) {
  constexpr std::size_t whole = 16;
  std::string front;
  std::string back;
  auto gap = text.find("::");
  if (gap == text.npos) {
    return append_groups(text, front) && front.size() == whole ? front : std::string();
  }
  auto rest = text.substr(gap + 2);
  if (rest.find("::") != rest.npos || !append_groups(text.substr(0, gap), front) ||
      !append_groups(rest, back) || front.size() + back.size() >= whole) {
    return {};
  }
  front.append(whole - front.size() - back.size(), '\0');
  return front + back;
}

bool text_matches(const EventRule& rule, std::string_view text) {
  using Kind = EventRule::Kind;
  switch (rule.kind) {
    case Kind::prefix: return text.starts_with(rule.text);
    case Kind::suffix: return text.ends_with(rule.text);
    case Kind::wildcard: return wildcard_matches(rule.text, text);
    case Kind::equals_ignore_case:
      return text.size() == rule.text.size() && to_lower(text) == rule.text;
    case Kind::prefix_ignore_case:
      return text.size() >= rule.text.size() &&
             to_lower(text.substr(0, rule.text.size())) == rule.text;
    case Kind::suffix_ignore_case:
      return text.size() >= rule.text.size() &&
             to_lower(text.substr(text.size() - rule.text.size())) == rule.text;
    case Kind::cidr: {
      auto bytes = address_bytes(text);
      return bytes.size() == rule.network.bytes.size() &&
             masked(std::move(bytes), rule.network.bits) == rule.network.bytes;
    }
    default: return false;
  }
}

bool is_escape(std::string_view pattern, std::size_t at) {
  return pattern[at] == '\\' && at + 1 < pattern.size() &&
         (pattern[at + 1] == '*' || pattern[at + 1] == '\\');
}

}  // namespace

std::string address_bytes(std::string_view text) {
  if (text.size() > 45) return {};
  return text.find(':') == text.npos ? ipv4_bytes(text) : ipv6_bytes(text);
}

std::string masked(std::string bytes, int bits) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    int kept = std::clamp(bits - static_cast<int>(i) * 8, 0, 8);
    unsigned mask = (0xff00U >> kept) & 0xffU;
    bytes[i] = static_cast<char>(static_cast<unsigned char>(bytes[i]) & mask);
  }
  return bytes;
}

bool EventRule::matches(const Json& leaf) const {
  switch (kind) {
    case Kind::exact: return value == leaf;
    case Kind::exists: return true;
    case Kind::absent: return false;
    case Kind::numeric: return leaf.is_number() && range.contains(leaf.number_value());
    case Kind::anything_but:
      return std::ranges::none_of(but, [&](const EventRule& rule) { return rule.matches(leaf); });
    default: return leaf.is_string() && text_matches(*this, leaf.string_value());
  }
}

bool wildcard_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    bool more = p < pattern.size();
    bool escaped = more && is_escape(pattern, p);
    if (more && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (more && pattern[escaped ? p + 1 : p] == text[t]) {
      p += escaped ? 2 : 1;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

WildcardEnds wildcard_ends(std::string_view pattern) {
  WildcardEnds out;
  std::string part;
  bool first = true;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*') {
      if (first) out.head = part;
      first = false;
      part.clear();
      continue;
    }
    if (is_escape(pattern, i)) ++i;
    part += pattern[i];
  }
  if (first) out.head = part;
  out.tail = std::move(part);
  return out;
}

}  // namespace mayfly::wire
