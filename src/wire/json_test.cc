#include "wire/json.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

TEST_CASE("JSON keeps numbers, order and text as they came") {
  const std::string text = R"({"b":0.1,"a":[1,-7,9223372036854775807,1e+20,true,false,null],)"
                           R"("s":"é\n\"\\\u0001😀","o":{}})";
  auto value = parse_json(text);
  REQUIRE(value.has_value());
  CHECK(value->dump() == text);
  CHECK(value->find("b")->number_value() == 0.1);
  CHECK(value->find("a")->as<JsonArray>()->at(1).is_int());
}

TEST_CASE("JSON escapes and surrogate pairs become UTF-8") {
  auto value = parse_json(R"("\u00e9\ud83d\ude00\/\b\f")");
  REQUIRE(value.has_value());
  CHECK(value->string_value() == "é😀/\b\f");
}

TEST_CASE("JSON strings end at the right place wherever the special byte stands") {
  for (std::size_t before = 0; before < 20; ++before) {
    for (std::size_t after = 0; after < 20; ++after) {
      std::string left(before, 'a'), right(after, '\x7f');
      for (std::string_view special :
           {"\\n", "\\\"", "\\\\", "é", "\xf0\x9f\x98\x80", "!", "#", "]", "["}) {
        auto value = parse_json(fmt::format("[\"{}{}{}\",1]", left, special, right));
        REQUIRE(value.has_value());
        std::string_view plain = special == "\\n"    ? "\n"
                                 : special == "\\\"" ? "\""
                                 : special == "\\\\" ? "\\"
                                                     : special;
        CHECK(value->as<JsonArray>()->at(0).string_value() ==
              fmt::format("{}{}{}", left, plain, right));
      }
      for (std::string_view bad : {"\x1f", "\n", "\xff", "\xc3"}) {
        CHECK_FALSE(parse_json(fmt::format("\"{}{}{}\"", left, bad, right)).has_value());
      }
    }
  }
}

TEST_CASE("JSON getters answer the fallback for absent and for other types") {
  auto value = parse_json(R"({"s":"x","i":3,"d":1.5,"b":true,"n":{"m":"deep"}})");
  REQUIRE(value.has_value());
  CHECK(value->string_or("s") == "x");
  CHECK(value->string_or("i", "none") == "none");
  CHECK(value->int_or("i", 0) == 3);
  CHECK(value->int_or("d", -1) == -1);
  CHECK(value->number_or("i", 0) == 3.0);
  CHECK(value->bool_or("b", false));
  CHECK(value->at({"n", "m"})->string_value() == "deep");
  CHECK(value->at({"n", "x", "y"}) == nullptr);
  CHECK(value->find("zzz") == nullptr);
}

TEST_CASE("JSON is built and printed for people") {
  Json value = Json::object({{"a", 1}, {"list", Json::array({"x", 2.5, nullptr})}});
  value["more"]["deep"] = true;
  CHECK(value.dump() == R"({"a":1,"list":["x",2.5,null],"more":{"deep":true}})");
  CHECK(Json::object({{"a", 1}}).dump_pretty() == "{\n  \"a\": 1\n}");
  CHECK(*parse_json(R"({"x":1,"y":2.0})") == *parse_json(R"({"y":2,"x":1})"));
}

TEST_CASE("JSON is printed as UTF-8 whatever the bytes are") {
  CHECK(Json("é€😀\n").dump() == "\"é€😀\\n\"");
  CHECK(Json("a\xc3z\xff").dump() == "\"a\xef\xbf\xbdz\xef\xbf\xbd\"");
  CHECK(parse_json(Json("\xf0\x9f").dump()).has_value());
}

TEST_CASE("JSON errors name the place") {
  auto value = parse_json("{\n  \"a\" 1}");
  REQUIRE_FALSE(value.has_value());
  CHECK(value.error().message == "invalid JSON at line 2 column 7: expected ':'");
  for (std::string_view bad : {"",
                               "{",
                               "[1,]",
                               "{\"a\":1,}",
                               "01",
                               "1.",
                               "-",
                               "+1",
                               ".5",
                               "1e",
                               "tru",
                               "\"\\x\"",
                               "\"abc",
                               "\"\x01\"",
                               "\"\\ud800\"",
                               "\"\\ud800\\u0041\"",
                               "\"\\udc00\"",
                               "\"\\u12g4\"",
                               "\"\xff\"",
                               "1 2",
                               "1e999",
                               "nan",
                               "{1:2}",
                               "'a'",
                               "[1 2]",
                               "/**/1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_json(bad).has_value());
  }
}

TEST_CASE("JSON nesting is bounded") {
  std::string deep = std::string(257, '[') + std::string(257, ']');
  CHECK(parse_json(deep).has_value());
  CHECK_FALSE(parse_json("[" + deep + "]").has_value());
  CHECK_FALSE(parse_json(std::string(1'000'000, '[')).has_value());
  CHECK(parse_json("[[1]]", {.depth = 2}).has_value());
  CHECK_FALSE(parse_json("[[1]]", {.depth = 1}).has_value());
}
