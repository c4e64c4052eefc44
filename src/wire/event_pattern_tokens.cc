#include "wire/event_pattern_tokens.h"

#include "wire/json.h"

namespace mayfly::wire::event_pattern {

namespace {

constexpr std::size_t source_shown = 500;

std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

TokenKind kind_of(char first) {
  switch (first) {
    case '{': return TokenKind::begin_object;
    case '}': return TokenKind::end_object;
    case '[': return TokenKind::begin_array;
    case ']': return TokenKind::end_array;
    case '"': return TokenKind::string;
    case 't':
    case 'f':
    case 'n': return TokenKind::literal;
    default: return TokenKind::number;
  }
}

}  // namespace

Tokens::Tokens(std::string_view text) : text_(text) {
  constexpr std::string_view blanks = " \t\r\n,";
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == ':') {
      if (!tokens_.empty()) tokens_.back().kind = TokenKind::name;
      ++at;
      continue;
    }
    if (blanks.find(text[at]) != blanks.npos) {
      ++at;
      continue;
    }
    Token token{.kind = kind_of(text[at]), .begin = at, .end = at + 1};
    if (token.kind == TokenKind::string) {
      token.end = string_end(text, at);
    } else if (token.kind == TokenKind::literal || token.kind == TokenKind::number) {
      token.end = std::min(text.find_first_of(" \t\r\n,:]}", at), text.size());
    }
    at = token.end;
    tokens_.push_back(token);
  }
  if (tokens_.empty()) tokens_.push_back({});
}

const Token& Tokens::next() {
  if (at_ + 1 < tokens_.size()) ++at_;
  return current();
}

std::string_view Tokens::raw() const {
  return text_.substr(current().begin, current().end - current().begin);
}

std::string Tokens::text() const {
  auto json = parse_json(raw());
  return std::string(json ? json->string_value() : std::string_view());
}

double Tokens::number() const {
  auto json = parse_json(raw());
  return json ? json->number_value() : 0;
}

std::unexpected<Error> Tokens::wrong(std::string why) const {
  std::size_t at = at_;
  if (tokens_[at].kind == TokenKind::name && at + 1 < tokens_.size()) ++at;
  const auto& token = tokens_[at];
  std::size_t place = token.kind == TokenKind::string ? token.begin + 1 : token.end;
  auto before = text_.substr(0, place);
  auto line = 1 + std::ranges::count(before, '\n');
  auto start = before.rfind('\n') + 1;  // npos + 1: the beginning
  std::string source = fmt::format("(String)\"{}\"", text_.substr(0, source_shown));
  if (text_.size() > source_shown) {
    source += fmt::format("[truncated {} chars]", text_.size() - source_shown);
  }
  return fail(ErrorKind::invalid, fmt::format("{} at [Source: {}; line: {}, column: {}]", why,
                                              source, line, place - start + 1));
}

}  // namespace mayfly::wire::event_pattern
