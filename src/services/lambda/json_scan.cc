#include "services/lambda/json_scan.h"

#include <bit>
#include <cstring>
#include <vector>

namespace mayfly::lambda {

namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<JsonFault> run() {
    space();
    if (at_ == text_.size()) return fault("no value");
    // `closers_` holds what ends each open container; an explicit stack, so depth costs no
    // recursion.
    do {
      if (!value()) return fault_;
    } while (!done_);
    space();
    if (at_ != text_.size()) return fault("text after the value");
    return std::nullopt;
  }

 private:
  JsonFault fault(std::string_view what) { return JsonFault{at_, what}; }
  bool failed(std::string_view what) {
    fault_ = fault(what);
    return false;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  // One value with what precedes it (a key) and what follows it (commas, closers).
  bool value() {
    space();
    if (!closers_.empty() && closers_.back() == '}' && !key()) return false;
    switch (peek()) {
      case '{': return open('}');
      case '[': return open(']');
      case '"':
        if (!string()) return false;
        break;
      case 't':
        if (!word("true")) return false;
        break;
      case 'f':
        if (!word("false")) return false;
        break;
      case 'n':
        if (!word("null")) return false;
        break;
      default:
        if (!number()) return false;
    }
    return follow();
  }

  bool open(char closer) {
    ++at_;
    if (closers_.size() == json_scan_depth) return failed("nested too deep");
    closers_.push_back(closer);
    space();
    if (peek() != closer) return true;
    ++at_;
    closers_.pop_back();
    return follow();
  }

  bool follow() {
    while (true) {
      if (closers_.empty()) {
        done_ = true;
        return true;
      }
      space();
      if (peek() == ',') {
        ++at_;
        return true;
      }
      if (at_ == text_.size()) return failed("the text ends inside of a value");
      if (peek() != closers_.back())
        return failed("a comma or the end of the container is missing");
      ++at_;
      closers_.pop_back();
    }
  }

  bool key() {
    if (peek() != '"') return failed("a name in quotes is missing");
    if (!string()) return false;
    space();
    if (peek() != ':') return failed("a colon is missing");
    ++at_;
    space();
    return true;
  }

  bool word(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) {
      return failed("unrecognized token, expected true, false or null");
    }
    at_ += expected.size();
    return true;
  }

  bool digits() {
    std::size_t first = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > first;
  }
  bool number() {
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else if (!digits()) {
      return failed(at_ == text_.size() ? "the text ends inside of a value" : "unrecognized token");
    }
    if (peek() == '.') {
      ++at_;
      if (!digits()) return failed("digits are missing");
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!digits()) return failed("digits are missing");
    }
    return true;
  }

  // Past what a string holds without further ado, eight bytes at a time: neither the quote nor a
  // backslash, no control character, nothing beyond ASCII.
  void plain_characters() {
    static_assert(std::endian::native == std::endian::little);
    constexpr std::uint64_t ones = 0x0101010101010101;
    while (text_.size() - at_ >= sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, text_.data() + at_, sizeof word);
      std::uint64_t quote = word ^ (ones * '"');
      std::uint64_t slash = word ^ (ones * '\\');
      std::uint64_t marks =
          ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | (word - ones * 0x20) | word;
      marks &= ones * 0x80;
      if (marks != 0) {  // what is marked above the lowest mark may be plain after all
        at_ += static_cast<std::size_t>(std::countr_zero(marks)) / 8;
        return;
      }
      at_ += sizeof word;
    }
  }

  bool string() {
    ++at_;
    while (plain_characters(), at_ < text_.size()) {
      auto byte = static_cast<unsigned char>(text_[at_]);
      if (byte == '"') {
        ++at_;
        return true;
      }
      if (byte == '\\') {
        if (!escape()) return false;
      } else if (byte < 0x20) {
        return failed("a control character in a string");
      } else if (byte < 0x80) {
        ++at_;
      } else if (!utf8(byte)) {
        return failed("text that is not UTF-8");
      }
    }
    return failed("the text ends inside of a string");
  }

  bool escape() {
    ++at_;
    char kind = peek();
    if (kind != 'u') {
      if (std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos || kind == '\0') {
        return failed("an unknown escape");
      }
      ++at_;
      return true;
    }
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      char c = peek();
      bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!hex) return failed("an unknown escape");
    }
    return true;
  }

  // Well-formed sequences of RFC 3629: no overlong forms, surrogates or values past U+10FFFF.
  bool utf8(unsigned char lead) {
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4) return false;
    for (int i = 1; i <= more; ++i) {
      std::size_t index = at_ + static_cast<std::size_t>(i);
      if (index >= text_.size()) return false;
      auto byte = static_cast<unsigned char>(text_[index]);
      unsigned char low = 0x80;
      unsigned char high = 0xbf;
      if (i == 1 && lead == 0xe0) low = 0xa0;
      if (i == 1 && lead == 0xed) high = 0x9f;
      if (i == 1 && lead == 0xf0) low = 0x90;
      if (i == 1 && lead == 0xf4) high = 0x8f;
      if (byte < low || byte > high) return false;
    }
    at_ += static_cast<std::size_t>(more) + 1;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool done_ = false;
  JsonFault fault_;
  std::vector<char> closers_;
};

}  // namespace

std::optional<JsonFault> scan_json(std::string_view text) { return Scanner(text).run(); }

}  // namespace mayfly::lambda
