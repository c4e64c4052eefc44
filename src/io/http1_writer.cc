#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "io/http1_plain.h"

namespace mayfly::io::http1 {

namespace {

constexpr std::uint64_t ones = 0x0101010101010101;

// Eight bytes at a time.
bool words_equal_ignoring_case(const char* left, const char* right) {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::memcpy(&a, left, sizeof a);
  std::memcpy(&b, right, sizeof b);
  std::uint64_t differ = a ^ b;
  if ((differ & ~(ones * 0x20)) != 0) return false;
  // Where the bytes differ in this bit, they have to be letters.
  std::uint64_t low = (a | ones * 0x20) & (ones * 0x7f);
  std::uint64_t from_a = low + ones * (0x80 - 'a');
  std::uint64_t beyond_z = low + ones * (0x7f - 'z');
  std::uint64_t letters = from_a & ~beyond_z & ~a & (ones * 0x80);
  return ((differ << 2) & ~letters) == 0;
}

// Two bytes that are not the same.
bool differ_in_case(char a, char b) {
  auto low = static_cast<unsigned char>(a | 0x20);
  return (a ^ b) == 0x20 && low >= 'a' && low <= 'z';
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  constexpr std::size_t word = sizeof(std::uint64_t);
  if (a.size() < word) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i] != b[i] && !differ_in_case(a[i], b[i])) return false;
    }
    return true;
  }
  for (std::size_t at = 0; at + word < a.size(); at += word) {
    if (!words_equal_ignoring_case(a.data() + at, b.data() + at)) return false;
  }
  std::size_t last = a.size() - word;
  return words_equal_ignoring_case(a.data() + last, b.data() + last);
}

bool is_token(std::string_view text) {
  for (char c : text) {
    if (!is_token_byte(c)) return false;
  }
  return !text.empty();
}

bool is_field_value(std::string_view text) {
  // Eight bytes at a time; a word with a byte below space (a tab may be one) or of the top half, or
  // with DEL, is looked at byte by byte.
  auto fine = [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 || c == '\t') && byte != 0x7f;
  };
  while (text.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), sizeof word);
    std::uint64_t del = word ^ (ones * 0x7f);
    std::uint64_t odd = (word - ones * 0x20) | (del - ones) | word;
    if ((odd & (ones * 0x80)) != 0 && !std::ranges::all_of(text.substr(0, sizeof word), fine)) {
      return false;
    }
    text.remove_prefix(sizeof word);
  }
  return std::ranges::all_of(text, fine);
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
  }
}

void Writer::status_line(int status) {
  std::array<char, 8> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), status).ptr;
  out_ += "HTTP/1.1 ";
  out_.append(digits.data(), end);
  out_ += ' ';
  out_ += reason_phrase(status);
  out_ += "\r\n";
}

void Writer::request_line(std::string_view method, std::string_view target) {
  out_ += method;
  out_ += ' ';
  out_ += target;
  out_ += " HTTP/1.1\r\n";
}

bool Writer::field(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  std::size_t before = out_.size();
  std::size_t size = before + name.size() + value.size() + 4;
  out_.resize_and_overwrite(size, [&](char* text, std::size_t) {
    char* at = text + before;
    std::memcpy(at, name.data(), name.size());
    at += name.size();
    std::memcpy(at, ": ", 2);
    if (!value.empty()) std::memcpy(at + 2, value.data(), value.size());
    std::memcpy(text + size - 2, "\r\n", 2);
    return size;
  });
  return true;
}

void Writer::field(std::string_view name, std::uint64_t value) {
  std::array<char, 24> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  field(name, std::string_view(digits.data(), end));
}

void Writer::chunk_head(std::size_t bytes) {
  std::array<char, 24> digits{};
  auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bytes, 16).ptr;
  out_.append(digits.data(), end);
  out_ += "\r\n";
}

}  // namespace mayfly::io::http1
