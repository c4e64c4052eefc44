#include "wire/log_pattern.h"

#include <re2/re2.h>

#include <charconv>

#include "wire/log_pattern_parts.h"

namespace mayfly::wire {
namespace log_pattern {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Bytes of UTF-8 sequences count as letters.
bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c & 0x80) != 0;
}

}  // namespace

void Cursor::skip_space() {
  while (!done() && is_space(peek())) ++at_;
}

bool Cursor::eat(std::string_view word) {
  if (!rest().starts_with(word)) return false;
  at_ += word.size();
  return true;
}

bool Cursor::eat_word(std::string_view word) {
  if (!rest().starts_with(word) || is_word(peek(word.size()))) return false;
  at_ += word.size();
  return true;
}

std::unexpected<Error> Cursor::wrong(std::string_view what) const {
  return fail(ErrorKind::invalid,
              fmt::format("{} at character {} of the filter pattern", what, at_ + 1));
}

std::optional<Compare> take_compare(Cursor& in) {
  in.skip_space();
  if (in.eat("!=")) return Compare::not_equal;
  if (in.eat("<=")) return Compare::less_equal;
  if (in.eat(">=")) return Compare::greater_equal;
  if (in.eat("=")) return Compare::equal;
  if (in.eat("<")) return Compare::less;
  if (in.eat(">")) return Compare::greater;
  return std::nullopt;
}

Result<std::string> take_quoted(Cursor& in) {
  std::string text;
  in.take();
  while (!in.done()) {
    char c = in.take();
    if (c == '"') return text;
    if (c == '\\' && (in.peek() == '"' || in.peek() == '\\')) c = in.take();
    text += c;
  }
  return in.wrong("a closing quote is missing");
}

Result<std::shared_ptr<const re2::RE2>> take_regex(Cursor& in) {
  std::string text;
  in.take();
  while (!in.done()) {
    char c = in.take();
    if (c == '%') {
      RE2::Options options(RE2::Quiet);
      options.set_max_mem(1 << 20);
      auto regex = std::make_shared<const RE2>(text, options);
      if (!regex->ok()) return in.wrong("bad regular expression (" + regex->error() + ")");
      return regex;
    }
    text += c;
  }
  return in.wrong("a closing percent sign is missing");
}

Result<Operand> take_operand(Cursor& in, std::string_view ends) {
  in.skip_space();
  Operand operand;
  if (in.peek() == '"') {
    operand.quoted = true;
    TRY_ASSIGN(operand.text, take_quoted(in));
    return operand;
  }
  if (in.peek() == '%') {
    TRY_ASSIGN(operand.regex, take_regex(in));
    return operand;
  }
  while (!in.done() && !is_space(in.peek()) && ends.find(in.peek()) == ends.npos) {
    operand.text += in.take();
  }
  if (operand.text.empty()) return in.wrong("a value is missing");
  operand.number = to_number(operand.text);
  return operand;
}

bool like(std::string_view text, std::string_view wild) {
  std::size_t t = 0;
  std::size_t w = 0;
  std::size_t star = wild.npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (w < wild.size() && wild[w] == '*') {
      star = w++;
      resume = t;
    } else if (w < wild.size() && wild[w] == text[t]) {
      ++w;
      ++t;
    } else if (star != wild.npos) {
      w = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (w < wild.size() && wild[w] == '*') ++w;
  return w == wild.size();
}

bool contains_match(const re2::RE2& regex, std::string_view text) {
  return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), regex);
}

std::optional<double> to_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  // "inf" and "nan" are words in a log.
  if (text.find_first_of("0123456789") == text.npos) return std::nullopt;
  return value;
}

bool compare_numbers(Compare op, double left, double right) {
  switch (op) {
    case Compare::equal: return left == right;
    case Compare::not_equal: return left != right;
    case Compare::less: return left < right;
    case Compare::less_equal: return left <= right;
    case Compare::greater: return left > right;
    case Compare::greater_equal: return left >= right;
  }
  return false;
}

bool compare_text(Compare op, std::string_view left, const Operand& right) {
  if (right.regex) {
    bool found = contains_match(*right.regex, left);
    return (op == Compare::equal && found) || (op == Compare::not_equal && !found);
  }
  if (right.number) {
    if (auto number = to_number(left)) return compare_numbers(op, *number, *right.number);
  }
  if (op == Compare::equal) return like(left, right.text);
  if (op == Compare::not_equal) return !like(left, right.text);
  return false;
}

namespace {

struct Term {
  TextTest test;
  char sign = '+';  // '+' needed, '?' one of these, '-' excluded
};

Result<Term> take_term(Cursor& in) {
  Term term;
  if (in.peek() == '?' || in.peek() == '-') term.sign = in.take();
  if (in.peek() == '%') {
    TRY_ASSIGN(auto regex, take_regex(in));
    term.test = [regex](std::string_view text) { return contains_match(*regex, text); };
    return term;
  }
  std::string word;
  if (in.peek() == '"') {
    TRY_ASSIGN(word, take_quoted(in));
  } else {
    while (is_word(in.peek())) word += in.take();
    // The user guide: terms with other characters stand in quotes.
    if (!in.done() && !is_space(in.peek())) {
      return in.wrong(fmt::format("the character '{}' must stand in quotes", in.peek()));
    }
    if (word.empty()) return in.wrong("a term is missing");
  }
  term.test = [word = std::move(word)](std::string_view text) {
    return text.find(word) != text.npos;
  };
  return term;
}

}  // namespace

Result<TextTest> parse_terms(std::string_view text) {
  Cursor in(text);
  std::vector<TextTest> needed;
  std::vector<TextTest> optional;
  std::vector<TextTest> excluded;
  while (in.skip_space(), !in.done()) {
    TRY_ASSIGN(auto term, take_term(in));
    auto& group = term.sign == '+' ? needed : term.sign == '?' ? optional : excluded;
    group.push_back(std::move(term.test));
  }
  return [needed, optional, excluded](std::string_view message) {
    auto holds = [message](const TextTest& test) { return test(message); };
    return std::ranges::all_of(needed, holds) && std::ranges::none_of(excluded, holds) &&
           (optional.empty() || std::ranges::any_of(optional, holds));
  };
}

}  // namespace log_pattern

Result<LogPattern> LogPattern::parse(std::string_view text) {
  LogPattern pattern;
  log_pattern::Cursor in(text);
  in.skip_space();
  if (in.done()) return pattern;
  if (in.peek() == '{') {
    TRY_ASSIGN(pattern.test_, log_pattern::parse_json(text));
  } else if (in.peek() == '[') {
    TRY_ASSIGN(pattern.test_, log_pattern::parse_words(text));
  } else {
    TRY_ASSIGN(pattern.test_, log_pattern::parse_terms(text));
  }
  return pattern;
}

}  // namespace mayfly::wire
