// Parts that the three kinds of filter patterns share; private to log_pattern*.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace mayfly::wire::log_pattern {

using TextTest = std::function<bool(std::string_view)>;

// Nesting of parentheses; a pattern is at most 1024 characters long in the API model.
inline constexpr int max_depth = 32;

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  bool done() const { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char take() { return text_[at_++]; }
  void skip_space();
  // Takes `word` when it comes next.
  bool eat(std::string_view word);
  // The same for a keyword: a letter or digit may not follow.
  bool eat_word(std::string_view word);
  std::string_view rest() const { return text_.substr(at_); }
  std::size_t at() const { return at_; }
  std::unexpected<Error> wrong(std::string_view what) const;

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

enum class Compare { equal, not_equal, less, less_equal, greater, greater_equal };
std::optional<Compare> take_compare(Cursor& in);

// What stands on the right of a comparison.
struct Operand {
  std::string text;
  bool quoted = false;
  std::optional<double> number;           // of an unquoted operand
  std::shared_ptr<const re2::RE2> regex;  // %…%
};
// An unquoted operand ends at a space or at one of `ends`.
Result<Operand> take_operand(Cursor& in, std::string_view ends);
// "…" with \" and \\ inside; the cursor stands on the first quote.
Result<std::string> take_quoted(Cursor& in);
// %…%; the cursor stands on the first percent sign.
Result<std::shared_ptr<const re2::RE2>> take_regex(Cursor& in);

// The whole of `text` against a text where * stands for any run of characters.
bool like(std::string_view text, std::string_view wild);
bool contains_match(const re2::RE2& regex, std::string_view text);
std::optional<double> to_number(std::string_view text);
bool compare_numbers(Compare op, double left, double right);
// A word against an operand, as in space-delimited patterns.
bool compare_text(Compare op, std::string_view left, const Operand& right);

// `or` binds weaker than `and`; parentheses group. `leaf` takes one condition.
template <class Subject>
class Conditions {
 public:
  using Test = std::function<bool(const Subject&)>;
  using Leaf = std::function<Result<Test>(Cursor&)>;
  explicit Conditions(Leaf leaf) : leaf_(std::move(leaf)) {}

  Result<Test> parse(Cursor& in, int depth = 0) const {
    TRY_ASSIGN(Test left, parse_and(in, depth));
    while (in.skip_space(), in.eat("||")) {
      TRY_ASSIGN(Test right, parse_and(in, depth));
      left = [a = std::move(left), b = std::move(right)](const Subject& s) { return a(s) || b(s); };
    }
    return left;
  }

 private:
  Result<Test> parse_and(Cursor& in, int depth) const {
    TRY_ASSIGN(Test left, parse_one(in, depth));
    while (in.skip_space(), in.eat("&&")) {
      TRY_ASSIGN(Test right, parse_one(in, depth));
      left = [a = std::move(left), b = std::move(right)](const Subject& s) { return a(s) && b(s); };
    }
    return left;
  }
  Result<Test> parse_one(Cursor& in, int depth) const {
    in.skip_space();
    if (!in.eat("(")) return leaf_(in);
    if (depth >= max_depth) return in.wrong("too many parentheses");
    TRY_ASSIGN(Test inner, parse(in, depth + 1));
    in.skip_space();
    if (!in.eat(")")) return in.wrong("')' is missing");
    return inner;
  }
  Leaf leaf_;
};

Result<TextTest> parse_terms(std::string_view text);
Result<TextTest> parse_json(std::string_view text);
Result<TextTest> parse_words(std::string_view text);

}  // namespace mayfly::wire::log_pattern
