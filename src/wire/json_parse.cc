#include <charconv>
#include <cstring>

#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::wire {

namespace {

// Recursive descent over one text; depth is bounded by the limit. Every method returns false once
// failed() has noted the first error.
class Parser {
 public:
  Parser(std::string_view text, JsonLimits limits) : text_(text), limits_(limits) {}

  Result<Json> run() {
    Json value;
    blanks();
    if (parse(value, 0)) {
      blanks();
      if (at_ == text_.size()) return value;
      failed("unexpected text after the value");
    }
    return error();
  }

 private:
  bool parse(Json& out, int depth) {
    if (depth > limits_.depth) return failed("nested too deep");
    if (at_ == text_.size()) return failed("unexpected end");
    switch (text_[at_]) {
      case '{': return parse_object(out, depth);
      case '[': return parse_array(out, depth);
      case '"': {
        std::string text;
        if (!parse_string(text)) return false;
        out = Json(std::move(text));
        return true;
      }
      case 't': return word("true", Json(true), out);
      case 'f': return word("false", Json(false), out);
      case 'n': return word("null", Json(), out);
      default: return parse_number(out);
    }
  }

  bool parse_object(Json& out, int depth) {
    JsonObject object;
    ++at_;
    blanks();
    if (take('}')) {
      out = Json(std::move(object));
      return true;
    }
    while (true) {
      blanks();
      if (at_ == text_.size()) return failed("unexpected end");
      if (text_[at_] != '"') return failed("expected a member name");
      std::string key;
      if (!parse_string(key)) return false;
      blanks();
      if (!take(':')) return failed("expected ':'");
      blanks();
      Json value;
      if (!parse(value, depth + 1)) return false;
      object.add(std::move(key), std::move(value));
      blanks();
      if (take(',')) continue;
      if (!take('}')) return failed("expected ',' or '}'");
      out = Json(std::move(object));
      return true;
    }
  }

  bool parse_array(Json& out, int depth) {
    JsonArray items;
    ++at_;
    blanks();
    if (take(']')) {
      out = Json(std::move(items));
      return true;
    }
    while (true) {
      blanks();
      if (!parse(items.emplace_back(), depth + 1)) return false;
      blanks();
      if (take(',')) continue;
      if (!take(']')) return failed("expected ',' or ']'");
      out = Json(std::move(items));
      return true;
    }
  }

  bool parse_string(std::string& out) {
    std::size_t from = ++at_;
    while (true) {
      std::size_t run = at_;
      bool ascii = true;
      at_ = end_of_run(run, ascii);
      if (!ascii && !is_utf8(text_.substr(run, at_ - run))) {
        at_ = run;
        return failed("a string is not valid UTF-8");
      }
      out.append(text_, run, at_ - run);
      if (at_ == text_.size()) {
        at_ = from - 1;
        return failed("a string has no end");
      }
      if (take('"')) return true;
      if (text_[at_] != '\\') return failed("a control character in a string");
      if (!parse_escape(out)) return false;
    }
  }

  // The first byte from `at` on that is no plain character of a string. Packages travel as strings
  // of 67 MB, so it reads eight bytes at a time where none of them is special.
  std::size_t end_of_run(std::size_t at, bool& ascii) const {
    constexpr std::uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    auto has_zero = [](std::uint64_t word) { return (word - ones) & ~word & highs; };
    while (text_.size() - at >= sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, text_.data() + at, sizeof word);
      std::uint64_t control = (word - ones * 0x20) & ~word & highs;
      std::uint64_t special = has_zero(word ^ ones * '"') | has_zero(word ^ ones * '\\') | control;
      if (special || (word & highs)) break;
      at += sizeof word;
    }
    for (; at < text_.size(); ++at) {
      auto byte = static_cast<unsigned char>(text_[at]);
      if (byte < 0x20 || byte == '"' || byte == '\\') break;
      if (byte >= 0x80) ascii = false;
    }
    return at;
  }

  bool parse_escape(std::string& out) {
    ++at_;
    if (at_ == text_.size()) return failed("unexpected end");
    switch (text_[at_++]) {
      case '"': out += '"'; return true;
      case '\\': out += '\\'; return true;
      case '/': out += '/'; return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      case 'u': return parse_unicode(out);
      default: --at_; return failed("unknown escape in a string");
    }
  }

  bool parse_unicode(std::string& out) {
    std::uint32_t unit = 0;
    if (!four_hex(unit)) return false;
    if (unit >= 0xdc00 && unit < 0xe000) return failed("a lone surrogate in a string");
    if (unit >= 0xd800 && unit < 0xdc00) {
      std::uint32_t low = 0;
      if (!text_.substr(at_).starts_with("\\u")) return failed("a lone surrogate in a string");
      at_ += 2;
      if (!four_hex(low)) return false;
      if (low < 0xdc00 || low >= 0xe000) return failed("a lone surrogate in a string");
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, unit);
    return true;
  }

  bool four_hex(std::uint32_t& out) {
    if (text_.size() - at_ < 4) return failed("unexpected end");
    const char* from = text_.data() + at_;
    auto [end, error] = std::from_chars(from, from + 4, out, 16);
    if (error != std::errc{} || end != from + 4) return failed("expected four hex digits");
    at_ += 4;
    return true;
  }

  // The grammar of RFC 8259 section 6; from_chars alone would take more.
  bool parse_number(Json& out) {
    std::size_t from = at_;
    bool integer = true;
    take('-');
    if (!take('0') && !digits()) {
      at_ = from;
      return failed("expected a value");
    }
    if (take('.')) {
      integer = false;
      if (!digits()) return failed("expected a digit");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      integer = false;
      ++at_;
      if (!take('+')) take('-');
      if (!digits()) return failed("expected a digit");
    }
    std::string_view number = text_.substr(from, at_ - from);
    if (integer) {
      if (auto value = parse_int(number)) {
        out = Json(*value);
        return true;
      }
    }
    auto value = parse_double(number);
    if (!value) return failed("a number is out of range");
    out = Json(*value);
    return true;
  }

  bool digits() {
    std::size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ > from;
  }

  bool word(std::string_view expected, Json value, Json& out) {
    if (!text_.substr(at_).starts_with(expected)) return failed("expected a value");
    at_ += expected.size();
    out = std::move(value);
    return true;
  }

  void blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool failed(std::string_view why) {
    why_ = why;
    return false;
  }

  std::unexpected<Error> error() const {
    std::string_view before = text_.substr(0, at_);
    auto line = std::count(before.begin(), before.end(), '\n') + 1;
    auto last = before.rfind('\n');
    auto column = last == before.npos ? before.size() + 1 : before.size() - last;
    return fail(ErrorKind::invalid,
                fmt::format("invalid JSON at line {} column {}: {}", line, column, why_));
  }

  std::string_view text_;
  JsonLimits limits_;
  std::size_t at_ = 0;
  std::string_view why_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, JsonLimits limits) {
  return Parser(text, limits).run();
}

}  // namespace mayfly::wire
