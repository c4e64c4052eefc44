#include "wire/pattern_set.h"

#include <doctest/doctest.h>

#include <random>

using namespace mayfly;
using namespace mayfly::wire;

namespace {

EventPattern pattern(std::string_view text) {
  auto parsed = EventPattern::parse(text);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
  return *std::move(parsed);
}

std::vector<PatternSet::Id> match(PatternSet& set, std::string_view event) {
  return set.match(*parse_json(event));
}

using Ids = std::vector<PatternSet::Id>;

// Patterns and events over few names and values, so that they often meet.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  std::string pattern() { return fields(0, false); }
  std::string event() { return object(0); }

 private:
  int below(int end) { return static_cast<int>(engine_() % static_cast<unsigned>(end)); }
  std::string name() { return std::string(1, static_cast<char>('a' + below(4))); }
  std::string text() {
    std::string out;
    for (int i = below(4); i > 0; --i) out += "xyXY1*"[below(6)];
    return out;
  }
  std::string address() {
    return below(2) == 0 ? fmt::format("10.0.{}.{}", below(2), below(4))
                         : fmt::format("2001:db8::{}", below(4));
  }
  std::string value() {
    switch (below(8)) {
      case 0: return "null";
      case 1: return "true";
      case 2: return fmt::format("{}", below(5));
      case 3: return fmt::format("{}.5", below(3));
      case 4: return fmt::format(R"("{}")", address());
      default: return fmt::format(R"("{}")", text());
    }
  }
  std::string wildcard() {
    std::string out;
    for (int i = below(4); i >= 0; --i) {
      const char* part = std::array{"x", "y", "\\\\*", "1", "X"}[static_cast<unsigned>(below(5))];
      out += below(2) == 0 && !out.ends_with('*') ? "*" : part;
    }
    return out;
  }
  std::string but() {
    switch (below(5)) {
      case 0: return fmt::format(R"("{}")", text());
      case 1: return fmt::format("[{},{}]", below(5), below(5));
      case 2: return fmt::format(R"({{"prefix":["x","{}y"]}})", text());
      case 3: return fmt::format(R"({{"equals-ignore-case":["{}"]}})", text());
      default: return fmt::format(R"({{"wildcard":"{}"}})", wildcard());
    }
  }
  std::string rule() {
    switch (below(14)) {
      case 0: return fmt::format(R"({{"prefix":"{}"}})", text());
      case 1: return fmt::format(R"({{"suffix":"{}"}})", text());
      case 2: return fmt::format(R"({{"prefix":{{"equals-ignore-case":"{}"}}}})", text());
      case 3: return fmt::format(R"({{"suffix":{{"equals-ignore-case":"{}"}}}})", text());
      case 4: return fmt::format(R"({{"equals-ignore-case":"{}"}})", text());
      case 5: return fmt::format(R"({{"wildcard":"{}"}})", wildcard());
      case 6:
        return fmt::format(R"({{"numeric":[">{}",{},"<",{}]}})", below(2) == 0 ? "" : "=", below(3),
                           3 + below(3));
      case 7:
        return fmt::format(R"({{"numeric":["{}",{}]}})",
                           std::array{"=", "<", "<=", ">="}[static_cast<unsigned>(below(4))],
                           below(5));
      case 8: return fmt::format(R"({{"cidr":"{}/{}"}})", address(), 30 + below(3));
      case 9: return R"({"exists":true})";
      case 10: return R"({"exists":false})";
      case 11: return fmt::format(R"({{"anything-but":{}}})", but());
      default: return value();
    }
  }
  std::string fields(int depth, bool alternative) {
    std::string out = "{";
    std::set<std::string> seen;
    for (int i = below(3); i >= 0; --i) {
      auto key = name();
      if (!seen.insert(key).second) continue;
      if (out.size() > 1) out += ",";
      out += fmt::format(R"("{}":)", key);
      if (depth < 2 && below(3) == 0) {
        out += fields(depth + 1, alternative);
        continue;
      }
      out += "[" + rule();
      for (int more = below(3); more > 0; --more) out += "," + rule();
      out += "]";
    }
    if (depth < 2 && below(4) == 0) {
      out += fmt::format(R"(,"$or":[{},{}])", fields(depth + 1, true), fields(depth + 1, true));
    }
    return out + "}";
  }
  std::string any(int depth) {
    if (depth < 3 && below(3) == 0) return object(depth + 1);
    if (depth < 3 && below(4) == 0) {
      std::string out = "[";
      for (int i = below(4); i > 0; --i) out += any(depth + 1) + ",";
      if (out.ends_with(',')) out.pop_back();
      return out + "]";
    }
    return value();
  }
  std::string object(int depth) {
    std::string out = "{";
    for (int i = below(5); i > 0; --i) {
      if (out.size() > 1) out += ",";
      out += fmt::format(R"("{}":{})", name(), any(depth));
    }
    return out + "}";
  }

  std::mt19937 engine_;
};

}  // namespace

TEST_CASE("pattern set: what matches, by id") {
  PatternSet set;
  CHECK(match(set, R"({"source":"a"})").empty());
  set.add(1, pattern(R"({"source":["a"],"detail":{"x":[{"numeric":[">",1]}]}})"));
  set.add(2, pattern(R"({"source":["a",{"prefix":"b"}]})"));
  set.add(3, pattern(R"({"$or":[{"source":["b1"]},{"detail":{"x":[5]}}]})"));
  set.add(4, pattern(R"({"detail":{"y":[{"exists":false}]},"source":["a"]})"));
  CHECK(match(set, R"({"source":"a","detail":{"x":5}})") == Ids{1, 2, 3, 4});
  CHECK(match(set, R"({"source":"a","detail":{"y":5}})") == Ids{2});
  CHECK(match(set, R"({"source":"b1"})") == Ids{2, 3});
  CHECK(match(set, R"({"source":["c","b2"]})") == Ids{2});
}

TEST_CASE("pattern set: patterns come, change and go") {
  PatternSet set;
  for (PatternSet::Id id = 0; id < 500; ++id) {
    set.add(id, pattern(fmt::format(R"({{"source":["a"],"detail":{{"id":["{}"]}}}})", id)));
  }
  CHECK(match(set, R"({"source":"a","detail":{"id":"77"}})") == Ids{77});
  set.add(77, pattern(R"({"source":["b"]})"));
  CHECK(match(set, R"({"source":"a","detail":{"id":"77"}})").empty());
  CHECK(match(set, R"({"source":"b"})") == Ids{77});
  for (PatternSet::Id id = 0; id < 499; ++id) set.remove(id);
  set.remove(12345);
  CHECK(set.size() == 1);
  CHECK(match(set, R"({"source":"a","detail":{"id":"499"}})") == Ids{499});
  CHECK(match(set, R"({"source":"b"})").empty());
}

TEST_CASE("pattern set: members of one object of an array") {
  PatternSet set;
  set.add(1, pattern(R"({"items":{"a":[1],"b":[2]}})"));
  CHECK(match(set, R"({"items":[{"a":1,"b":2}]})") == Ids{1});
  CHECK(match(set, R"({"items":[{"a":1,"b":3},{"a":2,"b":2}]})").empty());
}

TEST_CASE("pattern set: ranges of numbers, their ends and between") {
  PatternSet set;
  for (int i = 0; i < 50; ++i) {
    set.add(static_cast<PatternSet::Id>(i),
            pattern(fmt::format(R"({{"n":[{{"numeric":[">=",{},"<",{}]}}]}})", i, i + 2)));
  }
  CHECK(match(set, R"({"n":0})") == Ids{0});
  CHECK(match(set, R"({"n":10})") == Ids{9, 10});
  CHECK(match(set, R"({"n":10.5})") == Ids{9, 10});
  CHECK(match(set, R"({"n":51})").empty());
  CHECK(match(set, R"({"n":-1})").empty());
}

TEST_CASE("pattern set: says what each pattern says by itself") {
  for (unsigned seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    PatternSet set;
    std::map<PatternSet::Id, EventPattern> single;
    std::map<PatternSet::Id, std::string> texts;
    for (PatternSet::Id id = 0; id < 120; ++id) {
      texts[id] = random.pattern();
      single[id] = pattern(texts[id]);
      set.add(id, single[id]);
    }
    for (int i = 0; i < 60; ++i) {
      if (i % 7 == 3) {
        auto id = static_cast<PatternSet::Id>(i);
        set.remove(id);
        single.erase(id);
      }
      auto text = random.event();
      auto event = *parse_json(text);
      Ids want;
      for (const auto& [id, one] : single) {
        if (one.matches(event)) want.push_back(id);
      }
      CAPTURE(text);
      auto got = set.match(event);
      Ids differing;
      std::ranges::set_symmetric_difference(got, want, std::back_inserter(differing));
      std::string first = differing.empty() ? "" : texts[differing.front()];
      CAPTURE(first);
      REQUIRE(got == want);
    }
  }
}
