#include "wire/event_pattern.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

namespace {

bool matches(std::string_view pattern, std::string_view event) {
  auto parsed = EventPattern::parse(pattern);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
  return parsed->matches(*parse_json(event));
}

}  // namespace

TEST_CASE("event pattern: values, nesting, arrays") {
  CHECK(matches(R"({"a":["x"]})", R"({"a":"x","b":1})"));
  CHECK_FALSE(matches(R"({"a":["x"]})", R"({"a":"y"})"));
  CHECK_FALSE(matches(R"({"a":["x"]})", R"({"b":"x"})"));
  CHECK(matches(R"({"a":{"b":[1,2]}})", R"({"a":{"b":2}})"));
  CHECK(matches(R"({"a":[null]})", R"({"a":null})"));
  CHECK_FALSE(matches(R"({"a":[null]})", R"({})"));
  CHECK(matches(R"({"a":[true]})", R"({"a":[false,true]})"));
  CHECK(matches(R"({"a":{"b":["x"]}})", R"({"a":[{"b":"y"},{"b":"x"}]})"));
  CHECK(matches(R"({"a":[1]})", R"({"a":1.0})"));
  CHECK_FALSE(matches(R"({"a":[1]})", R"({"a":"1"})"));
  CHECK_FALSE(matches(R"({"a":["x"],"b":["y"]})", R"({"a":"x","b":"x"})"));
}

TEST_CASE("event pattern: operators on texts") {
  CHECK(matches(R"({"a":[{"prefix":"ab"}]})", R"({"a":"abc"})"));
  CHECK_FALSE(matches(R"({"a":[{"prefix":"ab"}]})", R"({"a":"bab"})"));
  CHECK(matches(R"({"a":[{"prefix":{"equals-ignore-case":"AB"}}]})", R"({"a":"abc"})"));
  CHECK(matches(R"({"a":[{"suffix":".png"}]})", R"({"a":"x.png"})"));
  CHECK(matches(R"({"a":[{"equals-ignore-case":"Alice"}]})", R"({"a":"aLICE"})"));
  CHECK(matches(R"({"a":[{"wildcard":"a*c*"}]})", R"({"a":"abbcd"})"));
  CHECK_FALSE(matches(R"({"a":[{"wildcard":"a*c"}]})", R"({"a":"abbcd"})"));
  CHECK(matches(R"({"a":[{"wildcard":"a\\*c"}]})", R"({"a":"a*c"})"));
  CHECK_FALSE(matches(R"({"a":[{"wildcard":"a\\*c"}]})", R"({"a":"abc"})"));
}

TEST_CASE("event pattern: anything-but, exists, numeric, cidr, $or") {
  CHECK(matches(R"({"a":[{"anything-but":"x"}]})", R"({"a":"y"})"));
  CHECK_FALSE(matches(R"({"a":[{"anything-but":["x",1]}]})", R"({"a":1})"));
  CHECK_FALSE(matches(R"({"a":[{"anything-but":"x"}]})", R"({})"));
  CHECK(matches(R"({"a":[{"anything-but":{"prefix":"x"}}]})", R"({"a":"y"})"));
  CHECK_FALSE(matches(R"({"a":[{"anything-but":{"suffix":["x","y"]}}]})", R"({"a":"ay"})"));
  CHECK(matches(R"({"a":[{"exists":true}]})", R"({"a":null})"));
  CHECK(matches(R"({"a":[{"exists":false}]})", R"({"b":1})"));
  CHECK(matches(R"({"a":{"b":[{"exists":false}]}})", R"({})"));
  CHECK_FALSE(matches(R"({"a":[{"exists":false}]})", R"({"a":1})"));
  CHECK(matches(R"({"a":[{"numeric":[">",0,"<=",5]}]})", R"({"a":5})"));
  CHECK_FALSE(matches(R"({"a":[{"numeric":[">",0,"<=",5]}]})", R"({"a":5.1})"));
  CHECK_FALSE(matches(R"({"a":[{"numeric":["=",3]}]})", R"({"a":"3"})"));
  CHECK(matches(R"({"a":[{"cidr":"10.0.0.0/24"}]})", R"({"a":"10.0.0.255"})"));
  CHECK_FALSE(matches(R"({"a":[{"cidr":"10.0.0.0/24"}]})", R"({"a":"10.0.1.0"})"));
  const auto* either = R"({"$or":[{"a":["x"]},{"b":[{"numeric":["<",3]}]}],"c":[1]})";
  CHECK(matches(either, R"({"a":"x","c":1})"));
  CHECK(matches(either, R"({"b":2,"c":1})"));
  CHECK_FALSE(matches(either, R"({"b":3,"c":1})"));
  CHECK_FALSE(matches(either, R"({"a":"x","c":2})"));
}

TEST_CASE("event pattern: what is none") {
  for (const auto* text : {"", "[]", "{}", R"({"a":"x"})", R"({"a":[]})", R"({"a":[{"prefix":1}]})",
                           R"({"a":[{"numeric":[">"]}]})", R"({"a":[{"nothing":1}]})",
                           R"({"a":[{"exists":1}]})", R"({"a":[{"cidr":"x"}]})", R"({"a":[["x"]]})",
                           R"({"a":[{"anything-but":[]}]})", R"({"$or":[{"a":[1]}]})"}) {
    CAPTURE(text);
    CHECK_FALSE(EventPattern::parse(text).has_value());
  }
}
