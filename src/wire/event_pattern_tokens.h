// Tokens of a pattern's text with their places, so that what is wrong is said with the line and
// column that the cloud's own reader would name. Private to event_pattern*.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mayfly::wire::event_pattern {

enum class TokenKind {
  begin_object,
  end_object,
  begin_array,
  end_array,
  name,
  string,
  number,
  literal,  // true, false, null
};

struct Token {
  TokenKind kind = TokenKind::literal;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// Reads on token by token; the text is known to be well-formed JSON.
class Tokens {
 public:
  explicit Tokens(std::string_view text);
  // The next one, which is then the current one. Behind the last it stays there.
  const Token& next();
  const Token& current() const { return tokens_[at_]; }
  bool is(TokenKind kind) const { return current().kind == kind; }
  std::string_view raw() const;  // of the current one
  // From there to the end of the current one.
  std::string_view between(std::size_t from) const {
    return text_.substr(from, current().end - from);
  }
  std::string text() const;  // of the current string or name, its escapes resolved
  double number() const;
  // Kind invalid: "WHY at [Source: (String)"…"; line: L, column: C]". The column is where the
  // cloud's reader stands: behind the token, but behind the opening quote of a string that nobody
  // has asked for yet; names are read together with the first character of what follows.
  std::unexpected<Error> wrong(std::string why) const;

 private:
  std::string_view text_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace mayfly::wire::event_pattern
