// [ … ]: conditions on the words of an event by their position.
#include "wire/log_pattern_parts.h"

namespace mayfly::wire::log_pattern {
namespace {

using WordTest = Conditions<std::string_view>::Test;

struct Field {
  bool any_number = false;  // "..."
  WordTest test;            // empty: any word
};

bool is_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '-' || c == '.' || c == '*';
}

std::string take_name(Cursor& in) {
  std::string name;
  while (is_name(in.peek())) name += in.take();
  return name;
}

// name op value
Result<WordTest> take_condition(Cursor& in) {
  in.skip_space();
  if (take_name(in).empty()) return in.wrong("a field name is missing");
  auto op = take_compare(in);
  if (!op) return in.wrong("an operator is missing");
  TRY_ASSIGN(auto operand, take_operand(in, ",])&|"));
  return [op = *op, operand = std::move(operand)](const std::string_view& word) {
    return compare_text(op, word, operand);
  };
}

Result<Field> take_field(Cursor& in) {
  in.skip_space();
  Field field;
  if (in.eat("...")) {
    field.any_number = true;
    return field;
  }
  // A name alone stands for any word.
  Cursor ahead = in;
  if (!take_name(ahead).empty()) {
    ahead.skip_space();
    if (ahead.peek() == ',' || ahead.peek() == ']') {
      in = ahead;
      return field;
    }
  }
  TRY_ASSIGN(field.test, Conditions<std::string_view>(take_condition).parse(in));
  return field;
}

// Words are separated by spaces; "…" and […] hold one word together.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (true) {
    at = text.find_first_not_of(" \t\r\n", at);
    if (at == text.npos) return words;
    char close = text[at] == '"' ? '"' : text[at] == '[' ? ']' : '\0';
    std::size_t end = close == '\0' ? text.npos : text.find(close, at + 1);
    if (end != text.npos) {
      words.push_back(text.substr(at + 1, end - at - 1));
      at = end + 1;
      continue;
    }
    end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
}

// As a text with wildcards is compared: a "..." takes as few words as the rest allows.
bool match(const std::vector<Field>& fields, const std::vector<std::string_view>& words) {
  std::size_t w = 0;
  std::size_t f = 0;
  std::optional<std::size_t> open;
  std::size_t resume = 0;
  while (w < words.size()) {
    if (f < fields.size() && fields[f].any_number) {
      open = f++;
      resume = w;
    } else if (f < fields.size() && (!fields[f].test || fields[f].test(words[w]))) {
      ++f;
      ++w;
    } else if (open) {
      f = *open + 1;
      w = ++resume;
    } else {
      return false;
    }
  }
  while (f < fields.size() && fields[f].any_number) ++f;
  return f == fields.size();
}

}  // namespace

Result<TextTest> parse_words(std::string_view text) {
  Cursor in(text);
  in.skip_space();
  in.take();  // '['
  std::vector<Field> fields;
  do {
    TRY_ASSIGN(auto field, take_field(in));
    fields.push_back(std::move(field));
    in.skip_space();
  } while (in.eat(","));
  if (!in.eat("]")) return in.wrong("']' is missing");
  in.skip_space();
  if (!in.done()) return in.wrong("nothing may follow ']'");
  return [fields = std::move(fields)](std::string_view message) {
    return match(fields, split(message));
  };
}

}  // namespace mayfly::wire::log_pattern
