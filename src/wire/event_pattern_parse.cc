// The form of event patterns, with the errors of the cloud's reader.
#include "base/limits.h"
#include "wire/event_pattern.h"
#include "wire/event_pattern_tokens.h"
#include "wire/text.h"

namespace mayfly::wire {

namespace {

using event_pattern::TokenKind;
using event_pattern::Tokens;
using Kind = EventRule::Kind;

constexpr std::string_view one_key = "Only one key allowed in match expression";
constexpr std::string_view too_many = "Too many elements in numeric expression";
constexpr double number_most = 5e9;

// Operators cannot be names of fields inside $or.
constexpr std::array<std::string_view, 9> reserved{"exactly", "exact",   "prefix",
                                                   "suffix",  "numeric", "anything-but",
                                                   "cidr",    "exists",  "equals-ignore-case"};

std::unexpected<Error> bad(std::string why) { return fail(ErrorKind::invalid, std::move(why)); }

Result<Network> network_of(std::string_view text) {
  auto slash = text.find('/');
  if (slash == text.npos || text.find('/', slash + 1) != text.npos) {
    return bad("Malformed CIDR, one '/' required");
  }
  auto bits = parse_int(text.substr(slash + 1));
  if (!bits) return bad("Malformed CIDR, mask bits must be an integer");
  if (*bits < 0) return bad("Malformed CIDR, mask bits must not be negative");
  auto bytes = address_bytes(text.substr(0, slash));
  if (bytes.empty()) {
    return bad(fmt::format("Nonstandard IP address: {}", text.substr(0, slash)));
  }
  bool four = bytes.size() == 4;
  if (*bits > (four ? 32 : 128)) {
    return bad(four ? "IPv4 mask bits must be < 33" : "IPv6 mask bits must be < 129");
  }
  return Network{masked(std::move(bytes), static_cast<int>(*bits)), static_cast<int>(*bits)};
}

Result<> check_wildcard(std::string_view text) {
  std::size_t stars = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      bool known = i + 1 < text.size() && (text[i + 1] == '*' || text[i + 1] == '\\');
      if (!known) return bad(fmt::format("Invalid escape character at pos {}", i + 1));
      ++i;
    } else if (text[i] == '*') {
      ++stars;
      if (i + 1 < text.size() && text[i + 1] == '*') {
        return bad(fmt::format("Consecutive wildcard characters at pos {}", i + 1));
      }
    }
  }
  if (stars <= limits::events_pattern_stars) return {};
  return bad(
      "Rule is too complex. Try using fewer wildcard characters or fewer repeating character "
      "sequences after a wildcard character");
}

class Reader {
 public:
  explicit Reader(std::string_view text) : tokens_(text) {}

  Result<EventFields> read() {
    if (!tokens_.is(TokenKind::begin_object)) return tokens_.wrong("Filter is not an object");
    return object(false);
  }

 private:
  // ---- Structure

  Result<EventFields> object(bool alternative) {
    EventFields out;
    std::set<std::string> seen;
    bool empty = true;
    for (; tokens_.next().kind != TokenKind::end_object; empty = false) {
      std::string name = tokens_.text();
      if (name == "$or") {
        TRY_ASSIGN(auto any, either());
        out.either.push_back(std::move(any));
        continue;
      }
      if (alternative && std::ranges::find(reserved, name) != reserved.end()) {
        return tokens_.wrong(
            fmt::format("{} is Ruler reserved fieldName which cannot be used inside $or.", name));
      }
      path_.push_back(name);
      if (!seen.insert(name).second) {
        return bad(
            fmt::format("Path `{}` cannot be allowed multiple times", fmt::join(path_, ".")));
      }
      TRY_ASSIGN(auto one, field(alternative));
      out.fields.push_back(std::move(one));
      path_.pop_back();
    }
    if (empty) return tokens_.wrong("Empty objects are not allowed");
    return out;
  }

  Result<EventField> field(bool alternative) {
    EventField out{.name = path_.back(), .path = path_};
    auto kind = tokens_.next().kind;
    if (kind == TokenKind::begin_object) {
      TRY_ASSIGN(auto inner, object(alternative));
      out.inner = std::make_shared<const EventFields>(std::move(inner));
      return out;
    }
    if (kind != TokenKind::begin_array) {
      return tokens_.wrong(fmt::format("\"{}\" must be an object or an array", out.name));
    }
    while (tokens_.next().kind != TokenKind::end_array) {
      std::size_t from = tokens_.current().begin;
      TRY_ASSIGN(auto rule, this->rule());
      if (++rules_ > limits::events_pattern_rules) {
        return bad(fmt::format("A pattern can have {} values and operators",
                               limits::events_pattern_rules));
      }
      out.rules.push_back(std::move(rule));
      out.key += tokens_.between(from);
      out.key += '\n';
    }
    if (out.rules.empty()) return tokens_.wrong("Empty arrays are not allowed");
    return out;
  }

  Result<std::vector<EventFields>> either() {
    if (tokens_.next().kind != TokenKind::begin_array) {
      return tokens_.wrong("It must be an Array followed with $or.");
    }
    std::vector<EventFields> out;
    while (tokens_.next().kind != TokenKind::end_array) {
      if (!tokens_.is(TokenKind::begin_object)) {
        return tokens_.wrong("Only JSON object is allowed in array of $or relationship.");
      }
      TRY_ASSIGN(auto one, object(true));
      out.push_back(std::move(one));
    }
    if (out.size() < 2) {
      return tokens_.wrong("There must have at least 2 Objects in $or relationship.");
    }
    return out;
  }

  // ---- Rules

  Result<EventRule> rule() {
    switch (tokens_.current().kind) {
      case TokenKind::begin_object: return expression();
      case TokenKind::string: return EventRule{.kind = Kind::exact, .value = tokens_.text()};
      case TokenKind::number:
      case TokenKind::literal: {
        TRY_ASSIGN(auto value, parse_json(tokens_.raw()));
        return EventRule{.kind = Kind::exact, .value = std::move(value)};
      }
      default: return tokens_.wrong("Match value must be String, number, true, false, or null");
    }
  }

  Result<EventRule> expression() {
    if (tokens_.next().kind != TokenKind::name) {
      return tokens_.wrong("Match expression name not found");
    }
    std::string name = tokens_.text();
    if (name == "numeric") return numeric();
    if (name == "anything-but") return anything_but();
    EventRule out;
    if (name == "exists") {
      auto value = tokens_.next().kind == TokenKind::literal ? tokens_.raw() : "";
      if (value != "true" && value != "false") {
        return tokens_.wrong("exists match pattern must be either true or false.");
      }
      out.kind = value == "true" ? Kind::exists : Kind::absent;
    } else if (name == "prefix" || name == "suffix") {
      TRY_ASSIGN(out, affix(name));
    } else if (name == "exact" || name == "equals-ignore-case" || name == "wildcard" ||
               name == "cidr") {
      TRY_ASSIGN(auto text, this->text(name == "cidr" ? "prefix" : name));
      TRY_ASSIGN(out, operation(name, std::move(text)));
    } else {
      return tokens_.wrong(fmt::format("Unrecognized match type {}", name));
    }
    return end(std::move(out), one_key);
  }

  Result<EventRule> end(EventRule rule, std::string_view otherwise) {
    if (tokens_.next().kind != TokenKind::end_object) {
      return tokens_.wrong(std::string(otherwise));
    }
    return rule;
  }

  Result<std::string> text(std::string_view name) {
    if (tokens_.next().kind != TokenKind::string) {
      return tokens_.wrong(fmt::format("{} match pattern must be a string", name));
    }
    return tokens_.text();
  }

  static Result<EventRule> operation(std::string_view name, std::string text) {
    EventRule out;
    if (name == "exact") {
      out.value = std::move(text);
    } else if (name == "cidr") {
      out.kind = Kind::cidr;
      TRY_ASSIGN(out.network, network_of(text));
    } else if (name == "wildcard") {
      TRY(check_wildcard(text));
      out.kind = Kind::wildcard;
      out.text = std::move(text);
    } else if (name == "equals-ignore-case") {
      out.kind = Kind::equals_ignore_case;
      out.text = to_lower(text);
    } else {
      out.kind = name == "prefix" ? Kind::prefix : Kind::suffix;
      out.text = std::move(text);
    }
    return out;
  }

  Result<EventRule> affix(std::string_view name) {
    bool prefix = name == "prefix";
    auto kind = tokens_.next().kind;
    if (kind == TokenKind::string) return operation(name, tokens_.text());
    if (kind != TokenKind::begin_object) {
      return tokens_.wrong(fmt::format("{} match pattern must be a string", name));
    }
    if (tokens_.next().kind != TokenKind::name) {
      return tokens_.wrong(
          fmt::format("{} expression name not found", prefix ? "Prefix" : "Suffix"));
    }
    if (auto inner = tokens_.text(); inner != "equals-ignore-case") {
      return tokens_.wrong(fmt::format("Unsupported {} pattern: {}", name, inner));
    }
    TRY_ASSIGN(auto text, this->text("equals-ignore-case"));
    return end({.kind = prefix ? Kind::prefix_ignore_case : Kind::suffix_ignore_case,
                .text = to_lower(text)},
               one_key);
  }

  // ---- numeric

  Result<double> operand(std::string_view operation) {
    if (!tokens_.is(TokenKind::number)) {
      return tokens_.wrong(
          fmt::format("Value of {} must be numeric", operation == "=" ? "equals" : operation));
    }
    double out = tokens_.number();
    if (out >= -number_most && out <= number_most) return out;
    return tokens_.wrong("Value must be between -5.0E9 and 5.0E9, inclusive");
  }

  Result<EventRule> numeric() {
    if (tokens_.next().kind != TokenKind::begin_array) {
      return tokens_.wrong("Value of numeric must be an array.");
    }
    if (tokens_.next().kind != TokenKind::string) {
      return tokens_.wrong(fmt::format("Invalid member in numeric match: {}", tokens_.raw()));
    }
    std::string first = tokens_.text();
    tokens_.next();
    constexpr std::array<std::string_view, 5> known{"=", "<", "<=", ">", ">="};
    if (std::ranges::find(known, first) == known.end()) {
      return tokens_.wrong(fmt::format("Unrecognized numeric range operator: {}", first));
    }
    TRY_ASSIGN(double value, operand(first));
    tokens_.next();
    constexpr double endless = std::numeric_limits<double>::infinity();
    NumberRange range{.low = -endless, .high = endless};
    if (first.starts_with('>')) {
      range.low = value;
      range.low_open = first == ">";
      if (!tokens_.is(TokenKind::end_array)) TRY(upper(range));
    } else {
      range.high = value;
      range.high_open = first == "<";
      if (first == "=") range.low = value;
      if (!tokens_.is(TokenKind::end_array)) return tokens_.wrong(std::string(too_many));
    }
    return end({.kind = Kind::numeric, .range = range}, too_many);
  }

  Result<> upper(NumberRange& range) {
    if (!tokens_.is(TokenKind::string)) {
      return tokens_.wrong(fmt::format("Bad value in numeric range: {}", tokens_.raw()));
    }
    std::string second = tokens_.text();
    if (second != "<" && second != "<=") {
      return tokens_.wrong(fmt::format("Bad numeric range operator: {}", second));
    }
    tokens_.next();
    TRY_ASSIGN(range.high, operand(second));
    range.high_open = second == "<";
    if (tokens_.next().kind != TokenKind::end_array) {
      return tokens_.wrong("Too many terms in numeric range expression");
    }
    if (range.low > range.high) return tokens_.wrong("Bottom must be less than top");
    return {};
  }

  // ---- anything-but

  Result<EventRule> anything_but() {
    EventRule out{.kind = Kind::anything_but};
    auto kind = tokens_.next().kind;
    if (kind == TokenKind::begin_object) {
      TRY(but_operation(out.but));
      if (tokens_.next().kind != TokenKind::end_object) return tokens_.wrong(std::string(one_key));
      return end(std::move(out), one_key);
    }
    if (kind == TokenKind::begin_array) {
      TRY(but_values(out.but));
    } else if (kind == TokenKind::string || kind == TokenKind::number) {
      TRY_ASSIGN(auto value, rule());
      out.but.push_back(std::move(value));
    } else {
      return tokens_.wrong("Value of anything-but must be an array or single string/number value.");
    }
    return end(std::move(out), too_many);
  }

  Result<> but_values(std::vector<EventRule>& out) {
    bool texts = false;
    bool numbers = false;
    while (tokens_.next().kind != TokenKind::end_array) {
      texts = texts || tokens_.is(TokenKind::string);
      numbers = numbers || tokens_.is(TokenKind::number);
      if (!tokens_.is(TokenKind::string) && !tokens_.is(TokenKind::number)) {
        return tokens_.wrong("Inside anything but list, start|null|boolean is not supported.");
      }
      TRY_ASSIGN(auto value, rule());
      out.push_back(std::move(value));
    }
    if (texts != numbers) return {};
    return tokens_.wrong(
        "Inside anything but list, either all values are number or string, mixed type is not "
        "supported");
  }

  Result<> but_operation(std::vector<EventRule>& out) {
    if (tokens_.next().kind != TokenKind::name) {
      return tokens_.wrong("Anything-But expression name not found");
    }
    std::string name = tokens_.text();
    bool affix = name == "prefix" || name == "suffix";
    if (!affix && name != "equals-ignore-case" && name != "wildcard") {
      return tokens_.wrong(fmt::format("Unsupported anything-but pattern: {}", name));
    }
    bool list = tokens_.next().kind == TokenKind::begin_array;
    if (list) tokens_.next();
    do {
      if (!tokens_.is(TokenKind::string)) {
        if (list && tokens_.is(TokenKind::end_array)) {
          return tokens_.wrong("Empty arrays are not allowed");
        }
        return tokens_.wrong(affix ? "prefix/suffix match pattern must be a string"
                                   : fmt::format("{} match pattern must be a string", name));
      }
      std::string text = tokens_.text();
      if (affix && text.empty()) return tokens_.wrong("Null prefix/suffix not allowed");
      TRY_ASSIGN(auto one, operation(name, std::move(text)));
      out.push_back(std::move(one));
    } while (list && tokens_.next().kind != TokenKind::end_array);
    return {};
  }

  Tokens tokens_;
  std::vector<std::string> path_;
  std::size_t rules_ = 0;
};

// At most one more than the limit.
std::size_t combinations(const EventFields& fields) {
  constexpr std::size_t most = limits::events_pattern_combinations + 1;
  std::size_t out = 1;
  for (const auto& field : fields.fields) {
    if (field.inner) out = std::min(most, out * combinations(*field.inner));
  }
  for (const auto& alternatives : fields.either) {
    std::size_t sum = 0;
    for (const auto& one : alternatives) sum += combinations(one);
    out = std::min(most, out * sum);
  }
  return out;
}

}  // namespace

Result<EventFields> read_event_fields(std::string_view text) {
  TRY_ASSIGN(auto out, Reader(text).read());
  if (combinations(out) <= limits::events_pattern_combinations) return out;
  return bad(fmt::format("The alternatives of $or have more than {} combinations",
                         limits::events_pattern_combinations));
}

}  // namespace mayfly::wire
