#include "mayfly/lint_yaml.h"

#include "wire/text.h"

namespace mayfly::lint {
namespace {

using wire::Json;

constexpr int depth_max = 64;

struct Line {
  std::size_t number;
  std::size_t indent;
  std::string_view text;  // behind the indentation; empty: nothing but a comment
};

// Where a comment begins: '#' after a blank, outside of quotes.
std::string_view without_comment(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') ++i;
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') &&
               (i == 0 || std::string_view(" [{,:").contains(text[i - 1]))) {
      quote = c;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t')) {
      return wire::trim(text.substr(0, i));
    }
  }
  return wire::trim(text);
}

class Parser {
 public:
  explicit Parser(std::string_view text) {
    std::size_t number = 0;
    for (std::string_view raw : wire::split(text, '\n')) {
      ++number;
      auto indent = raw.find_first_not_of(' ');
      if (indent == std::string_view::npos) indent = raw.size();
      auto content = without_comment(raw.substr(indent));
      bool marker = indent == 0 && (content == "---" || content.starts_with('%'));
      lines_.push_back({number, indent, marker ? std::string_view() : content});
      raw_.push_back(raw);
    }
  }

  Result<Json> parse() {
    skip_blank();
    if (done()) return Json();
    TRY_ASSIGN(auto out, node(lines_[at_].indent, 0));
    skip_blank();
    if (!done()) return wrong("this does not belong to what is above it");
    return out;
  }

 private:
  bool done() const { return at_ >= lines_.size(); }
  void skip_blank() {
    while (!done() && lines_[at_].text.empty()) ++at_;
  }
  std::unexpected<Error> wrong(std::string_view what) const {
    std::size_t number = done() ? lines_.size() : lines_[at_].number;
    return fail(ErrorKind::invalid, fmt::format("line {}: {}", number, what));
  }

  // What stands at this indentation: a mapping, a sequence or a scalar.
  Result<Json> node(std::size_t indent, int depth) {
    if (depth > depth_max) return wrong("nested too deep");
    if (is_item(lines_[at_].text)) return sequence(indent, depth);
    if (key_end(lines_[at_].text) != std::string_view::npos) return mapping(indent, depth);
    auto text = lines_[at_++].text;
    return value_of(text);
  }

  static bool is_item(std::string_view text) { return text == "-" || text.starts_with("- "); }

  // The ':' that ends a key; none: this is no key.
  static std::size_t key_end(std::string_view text) {
    std::size_t from = 0;
    if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
      from = text.find(text.front(), 1);
      if (from == std::string_view::npos) return from;
    } else if (text.starts_with('{') || text.starts_with('[') || text.starts_with('!')) {
      return std::string_view::npos;
    }
    for (auto at = text.find(':', from); at != std::string_view::npos;
         at = text.find(':', at + 1)) {
      if (at + 1 == text.size() || text[at + 1] == ' ') return at;
    }
    return std::string_view::npos;
  }

  Result<Json> mapping(std::size_t indent, int depth) {
    Json out = wire::JsonObject();
    while (true) {
      skip_blank();
      if (done() || lines_[at_].indent != indent || is_item(lines_[at_].text)) break;
      auto text = lines_[at_].text;
      auto end = key_end(text);
      if (end == std::string_view::npos) return wrong("a key and a colon are missing");
      TRY_ASSIGN(auto key, value_of(text.substr(0, end)));
      if (text.starts_with("? ") || text.starts_with('&')) return wrong("this YAML is not read");
      TRY_ASSIGN(out[key.string_value()], rest_of(wire::trim(text.substr(end + 1)), indent, depth));
    }
    if (!done() && lines_[at_].indent > indent) return wrong("it is indented too far");
    return out;
  }

  Result<Json> sequence(std::size_t indent, int depth) {
    Json out = wire::JsonArray();
    while (true) {
      skip_blank();
      if (done() || lines_[at_].indent != indent || !is_item(lines_[at_].text)) break;
      Line& line = lines_[at_];
      auto rest = wire::trim(line.text.substr(1));
      bool opens = is_item(rest) || key_end(rest) != std::string_view::npos;
      if (opens) {
        // As if what stands behind the dash stood on a line of its own.
        line.indent += static_cast<std::size_t>(rest.data() - line.text.data());
        line.text = rest;
        TRY_ASSIGN(auto item, node(line.indent, depth + 1));
        out.push_back(std::move(item));
      } else {
        TRY_ASSIGN(auto item, rest_of(rest, indent, depth));
        out.push_back(std::move(item));
      }
    }
    if (!done() && lines_[at_].indent > indent) return wrong("it is indented too far");
    return out;
  }

  // Behind a key or a dash: a scalar, or what the next lines hold.
  Result<Json> rest_of(std::string_view text, std::size_t indent, int depth) {
    if (text.starts_with('&') || text.starts_with('*')) {
      return wrong("anchors and aliases are not read");
    }
    if (text.starts_with('|') || text.starts_with('>')) return block_scalar(indent);
    if (text.starts_with('!') && text.find(' ') == std::string_view::npos) {
      ++at_;
      skip_deeper(indent);
      return Json();
    }
    if (!text.empty()) {
      auto value = value_of(text);
      if (!value) return value;
      ++at_;
      bool plain = value->is_string() && text.front() != '"' && text.front() != '\'';
      skip_blank();
      // A plain scalar goes on where the next lines are indented.
      while (plain && !done() && lines_[at_].indent > indent) {
        *value = std::string(value->string_value()) + " " + std::string(lines_[at_++].text);
        skip_blank();
      }
      return value;
    }
    ++at_;
    skip_blank();
    if (done()) return Json();
    bool deeper = lines_[at_].indent > indent;
    // A sequence may stand as far left as the key it belongs to.
    bool below = lines_[at_].indent == indent && is_item(lines_[at_].text);
    if (!deeper && !below) return Json();
    return node(lines_[at_].indent, depth + 1);
  }

  void skip_deeper(std::size_t indent) {
    while (!done() && (lines_[at_].text.empty() || lines_[at_].indent > indent)) ++at_;
  }

  Result<Json> block_scalar(std::size_t indent) {
    std::string out;
    ++at_;
    for (; !done(); ++at_) {
      bool blank = wire::trim(raw_[at_]).empty();
      if (!blank && lines_[at_].indent <= indent) break;
      out += wire::trim(raw_[at_]);
      out += '\n';
    }
    return Json(std::move(out));
  }

  Result<Json> value_of(std::string_view text) {
    if (text.starts_with('!')) return Json();  // computed
    std::size_t at = 0;
    TRY_ASSIGN(auto out, flow(text, at, 0, ""));
    if (!wire::trim(text.substr(at)).empty()) return wrong("a scalar ends before its line does");
    return out;
  }

  static void skip_spaces(std::string_view text, std::size_t& at) {
    while (at < text.size() && text[at] == ' ') ++at;
  }

  // One value of a flow collection; a plain scalar ends at one of `ends`.
  Result<Json> flow(std::string_view text, std::size_t& at, int depth, std::string_view ends) {
    if (depth > depth_max) return wrong("nested too deep");
    skip_spaces(text, at);
    if (at < text.size() && (text[at] == '[' || text[at] == '{')) {
      return collection(text, at, depth);
    }
    if (at < text.size() && (text[at] == '"' || text[at] == '\'')) return quoted(text, at);
    bool computed = at < text.size() && text[at] == '!';
    auto from = at;
    while (at < text.size() && !ends.contains(text[at])) {
      if (text[at] == ':' && ends.contains(':')) break;
      ++at;
    }
    auto plain = wire::trim(text.substr(from, at - from));
    if (computed || plain == "null" || plain == "~") return Json();
    return Json(std::string(plain));
  }

  Result<Json> collection(std::string_view text, std::size_t& at, int depth) {
    bool list = text[at] == '[';
    char close = list ? ']' : '}';
    Json out = list ? Json(wire::JsonArray()) : Json(wire::JsonObject());
    ++at;
    while (true) {
      skip_spaces(text, at);
      if (at < text.size() && text[at] == close) {
        ++at;
        return out;
      }
      TRY_ASSIGN(auto item, flow(text, at, depth + 1, list ? ",]" : ":,}"));
      skip_spaces(text, at);
      if (list) {
        out.push_back(std::move(item));
      } else {
        if (at >= text.size() || text[at] != ':') return wrong("a colon is missing");
        ++at;
        TRY_ASSIGN(out[item.string_value()], flow(text, at, depth + 1, ",}"));
        skip_spaces(text, at);
      }
      if (at < text.size() && text[at] == ',') {
        ++at;
      } else if (at >= text.size() || text[at] != close) {
        return wrong("a collection does not end on its line");
      }
    }
  }

  Result<Json> quoted(std::string_view text, std::size_t& at) {
    char quote = text[at++];
    std::string out;
    for (; at < text.size(); ++at) {
      char c = text[at];
      if (c == quote && quote == '\'' && at + 1 < text.size() && text[at + 1] == quote) {
        out += text[++at];
      } else if (c == quote) {
        ++at;
        return Json(std::move(out));
      } else if (c == '\\' && quote == '"' && at + 1 < text.size()) {
        char next = text[++at];
        out += next == 'n' ? '\n' : next == 't' ? '\t' : next;
      } else {
        out += c;
      }
    }
    return wrong("a quote does not end on its line");
  }

  std::vector<Line> lines_;
  std::vector<std::string_view> raw_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Json> parse_yaml(std::string_view text) { return Parser(text).parse(); }

}  // namespace mayfly::lint
