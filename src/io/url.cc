#include "io/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace mayfly::io {

namespace {

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorKind::invalid, fmt::format("not a usable URL: {}", why));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

bool is_name(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) {
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

bool is_ipv6(std::string_view host) {
  return !host.empty() && std::ranges::all_of(host, [](char c) {
    c = lower(c);
    return (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9') || c == ':' || c == '.';
  });
}

int hex_digit(char c) {
  c = lower(c);
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

Result<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return bad("its user information is not percent-encoded");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<> read_port(std::string_view text, Url& out) {
  if (text.empty()) return {};
  unsigned port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0 || port > 65535) {
    return bad("its port is none");
  }
  out.port = static_cast<std::uint16_t>(port);
  return {};
}

Result<> read_authority(std::string_view text, Url& out) {
  if (auto at = text.rfind('@'); at != text.npos) {
    TRY_ASSIGN(out.user_info, decoded(text.substr(0, at)));
    text.remove_prefix(at + 1);
  }
  std::string_view host = text;
  std::string_view port;
  bool literal = text.starts_with('[');
  if (literal) {
    auto close = text.find(']');
    if (close == text.npos) return bad("its host is none");
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && !port.starts_with(':')) return bad("its host is none");
    if (!port.empty()) port.remove_prefix(1);
  } else if (auto colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (!(literal ? is_ipv6(host) : is_name(host))) return bad("its host is none");
  out.host = lower_case(host);
  std::uint16_t usual = out.port = out.secure ? 443 : 80;
  TRY(read_port(port, out));
  out.authority = literal ? fmt::format("[{}]", out.host) : out.host;
  if (out.port != usual) out.authority += fmt::format(":{}", out.port);
  return {};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  bool plain = std::ranges::all_of(text, [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte < 0x7f;
  });
  if (!plain) return bad("it has a blank or another character that must be percent-encoded");
  Url out;
  auto scheme = text.find("://");
  std::string name = scheme == text.npos ? std::string() : lower_case(text.substr(0, scheme));
  if (name != "http" && name != "https") return bad("it must begin with http:// or https://");
  out.secure = name == "https";
  text = text.substr(scheme + 3);
  text = text.substr(0, text.find('#'));
  auto rest = std::min(text.find_first_of("/?"), text.size());
  TRY(read_authority(text.substr(0, rest), out));
  std::string_view target = text.substr(rest);
  if (!target.empty()) out.target = target.starts_with('?') ? fmt::format("/{}", target) : target;
  return out;
}

}  // namespace mayfly::io
