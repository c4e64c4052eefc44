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
  CHECK_FALSE(matches(R"({"a":[{"anything-but":[2,1]}]})", R"({"a":1})"));
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

TEST_CASE("event pattern: lists of anything-but, addresses, escapes") {
  CHECK(matches(R"({"a":[{"anything-but":{"wildcard":["*.jar","x*"]}}]})", R"({"a":"y.zip"})"));
  CHECK_FALSE(matches(R"({"a":[{"anything-but":{"wildcard":["*.jar"]}}]})", R"({"a":"y.jar"})"));
  CHECK_FALSE(matches(R"({"a":[{"anything-but":{"equals-ignore-case":["X"]}}]})", R"({"a":"x"})"));
  CHECK(matches(R"({"a":[{"suffix":{"equals-ignore-case":".PNG"}}]})", R"({"a":"b.png"})"));
  CHECK(matches(R"({"a":[{"cidr":"2001:db8::/32"}]})", R"({"a":"2001:DB8:1::7"})"));
  CHECK_FALSE(matches(R"({"a":[{"cidr":"2001:db8::/32"}]})", R"({"a":"2001:db9::1"})"));
  CHECK(matches(R"({"a":[{"cidr":"::ffff:10.0.0.0/104"}]})", R"({"a":"::ffff:10.9.9.9"})"));
  CHECK(matches(R"({"a":[{"cidr":"10.0.0.7/32"}]})", R"({"a":"10.0.0.7"})"));
  CHECK(matches(R"({"a":[{"wildcard":"a\\\\*b"}]})", R"({"a":"a\\xb"})"));
  CHECK(matches(R"({"a":["x"]})", R"({"a":[["y"],["x"]]})"));
}

TEST_CASE("event pattern: absent is what has no leaf anywhere") {
  CHECK(matches(R"({"a":[{"exists":false}]})", R"({"a":[]})"));
  CHECK(matches(R"({"a":[{"exists":false}]})", R"({"a":{"b":1}})"));
  CHECK(matches(R"({"a":{"b":[{"exists":false}]}})", R"({"a":[]})"));
  CHECK_FALSE(matches(R"({"a":{"b":[{"exists":false}]}})", R"({"a":[{"c":1},{"b":2}]})"));
  CHECK_FALSE(matches(R"({"a":[{"exists":true}]})", R"({"a":{"b":1}})"));
}

TEST_CASE("event pattern: what is wrong, and where") {
  auto error = [](std::string_view text) {
    auto read = EventPattern::parse(text);
    return read ? "(none)" : read.error().message;
  };
  CHECK(error(R"({"source": ["aws.health"], "detail": {}})") ==
        "Empty objects are not allowed at [Source: (String)\"{\"source\": [\"aws.health\"], "
        "\"detail\": {}}\"; line: 1, column: 40]");
  CHECK(error("{\n  \"slug\": \"x\"}").ends_with("; line: 2, column: 12]"));
  CHECK(error(R"({"a":"x"})").starts_with(R"("a" must be an object or an array at [Source: )"));
  CHECK(error(R"({"a":[]})").starts_with("Empty arrays are not allowed"));
  CHECK(error(R"([])").starts_with("Filter is not an object"));
  CHECK(error(R"({"a":[{"exists":"true"}]})")
            .starts_with("exists match pattern must be either true or false."));
  CHECK(error(R"({"a":[{"exists":"true"}]})").ends_with("line: 1, column: 18]"));
  CHECK(error(R"({"a":[{"prefix":1}]})").starts_with("prefix match pattern must be a string"));
  CHECK(error(R"({"a":[{"prefix":"x","suffix":"y"}]})").starts_with("Only one key allowed"));
  CHECK(error(R"({"a":[{"nothing":1}]})").starts_with("Unrecognized match type nothing"));
  CHECK(error(R"({"a":[["x"]]})").starts_with("Match value must be String, number, true, false"));
  CHECK(error(R"({"a":[{"numeric":["~",1]}]})").starts_with("Unrecognized numeric range operator"));
  CHECK(error(R"({"a":[{"numeric":[">",5,"<",1]}]})").starts_with("Bottom must be less than top"));
  CHECK(error(R"({"a":[{"numeric":["=",6e9]}]})").starts_with("Value must be between -5.0E9"));
  CHECK(error(R"({"a":[{"anything-but":["x",1]}]})").starts_with("Inside anything but list"));
  CHECK(error(R"({"a":[{"anything-but":{"prefix":""}}]})").starts_with("Null prefix/suffix"));
  CHECK(error(R"({"a":[{"wildcard":"a**"}]})") == "Consecutive wildcard characters at pos 2");
  CHECK(error(R"({"a":[{"cidr":"10.0.0.0"}]})") == "Malformed CIDR, one '/' required");
  CHECK(error(R"({"$or":[{"a":[1]}]})").starts_with("There must have at least 2 Objects in $or"));
  CHECK(error(R"({"$or":[{"prefix":[1]},{"a":[1]}]})").starts_with("prefix is Ruler reserved"));
  CHECK(error(R"({"a":["x"],"a":["y"]})") == "Path `a` cannot be allowed multiple times");
}

TEST_CASE("event pattern: limits of $or, wildcards and rules") {
  auto alternatives = [](int count, std::string_view name) {
    std::string out = R"("$or":[)";
    for (int i = 0; i < count; ++i) {
      out += fmt::format(R"({}{{"{}":[{}]}})", i == 0 ? "" : ",", name, i);
    }
    return out + "]";
  };
  auto two = [&](int count) {
    return EventPattern::parse(
               fmt::format(R"({{{},"d":{{{}}}}})", alternatives(count, "a"), alternatives(25, "b")))
        .has_value();
  };
  CHECK(two(40));  // 1000
  CHECK_FALSE(two(41));
  auto stars = [](int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "a*";
    return EventPattern::parse(fmt::format(R"({{"a":[{{"wildcard":"{}"}}]}})", text)).has_value();
  };
  CHECK(stars(32));
  CHECK_FALSE(stars(33));
  auto rules = [](int count) {
    std::string text = "0";
    for (int i = 1; i < count; ++i) text += ",0";
    return EventPattern::parse(fmt::format(R"({{"a":[{}]}})", text)).has_value();
  };
  CHECK(rules(1000));
  CHECK_FALSE(rules(1001));
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
