#include "wire/log_pattern.h"

#include <doctest/doctest.h>

using mayfly::ErrorKind;
using mayfly::wire::LogPattern;

namespace {

bool matches(std::string_view pattern, std::string_view message) {
  auto parsed = LogPattern::parse(pattern);
  INFO(pattern);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
  return parsed->matches(message);
}

bool refused(std::string_view pattern) {
  auto parsed = LogPattern::parse(pattern);
  return !parsed && parsed.error().kind == ErrorKind::invalid;
}

}  // namespace

TEST_CASE("log pattern: nothing matches everything") {
  CHECK(matches("", "anything"));
  CHECK(matches("  ", ""));
}

TEST_CASE("log pattern: terms") {
  CHECK(matches("ERROR", "[ERROR] A fatal exception has occurred"));
  CHECK_FALSE(matches("ERROR", "error in lower case"));
  CHECK(matches("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST; INVALID ARGUMENTS"));
  CHECK_FALSE(matches("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST"));
  CHECK(matches("?ERROR ?ARGUMENTS", "INVALID ARGUMENTS"));
  CHECK_FALSE(matches("?ERROR ?ARGUMENTS", "WARN"));
  CHECK(matches("ERROR -ARGUMENTS", "[ERROR 401] UNAUTHORIZED REQUEST"));
  CHECK_FALSE(matches("ERROR -ARGUMENTS", "[ERROR 400] INVALID ARGUMENTS"));
  CHECK(matches("\"INTERNAL SERVER ERROR\"", "[ERROR 500] INTERNAL SERVER ERROR"));
  CHECK_FALSE(matches("\"INTERNAL SERVER ERROR\"", "SERVER INTERNAL ERROR"));
  CHECK(matches("-\"health check\"", "GET /"));
  CHECK_FALSE(matches("-\"health check\"", "GET / health check"));
  CHECK(matches("\"say \\\"hi\\\"\"", "they say \"hi\" here"));
  CHECK(matches("Café", "un Café, merci"));
  CHECK_FALSE(matches("Café -🦋", "Café 🦋"));
  CHECK(matches("%AUTHORIZED%", "UNAUTHORIZED"));
  CHECK(matches("%^\\d{3} %", "404 not found"));
  CHECK_FALSE(matches("%^\\d{3} %", "code 404 not found"));
}

TEST_CASE("log pattern: JSON strings, numbers and wildcards") {
  std::string_view event =
      R"({"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","errorCode":400,)"
      R"("arrayKey":["value","another"],"objectList":[{"name":"a","id":1},{"name":"b","id":2}],)"
      R"("SomeObject":null,"ThisFlag":true,"user":{"id":1.5,"e-mail":"John.Stiles@x"},"n":1e3})";
  CHECK(matches("{ $.eventType = \"UpdateTrail\" }", event));
  CHECK(matches("{$.eventType=UpdateTrail}", event));
  CHECK(matches("{ $.eventType = \"Update*\" }", event));
  CHECK(matches("{ $.eventType = *Trail }", event));
  CHECK_FALSE(matches("{ $.eventType = \"Trail\" }", event));
  CHECK(matches("{ $.sourceIPAddress != 123.123.* }", event));
  CHECK(matches("{ $.sourceIPAddress = 111.111.* }", event));
  CHECK(matches("{ $.arrayKey[0] = \"value\" }", event));
  CHECK_FALSE(matches("{ $.arrayKey[1] = \"value\" }", event));
  CHECK(matches("{ $.arrayKey[*] = \"another\" }", event));
  CHECK(matches("{ $.objectList[1].id = 2 }", event));
  CHECK(matches("{ $['user']['e-mail'] = %[Jj]ohn% }", event));
  CHECK(matches("{ $.errorCode = 400 }", event));
  CHECK(matches("{ $.errorCode = 4* }", event));
  CHECK_FALSE(matches("{ $.errorCode = \"400\" }", event));
  CHECK(matches("{ $.errorCode >= 400 && $.errorCode < 500 }", event));
  CHECK_FALSE(matches("{ $.errorCode > 400 }", event));
  CHECK(matches("{ $.user.id = 1.5 }", event));
  CHECK(matches("{ $.n = 1000 }", event));
  CHECK(matches("{ $.n <= 1e3 }", event));
}

TEST_CASE("log pattern: JSON nulls, flags, existence and grouping") {
  std::string_view event = R"({"none":null,"yes":true,"no":false,"a":1,"b":"x"})";
  CHECK(matches("{ $.none IS NULL }", event));
  CHECK_FALSE(matches("{ $.a IS NULL }", event));
  CHECK_FALSE(matches("{ $.missing IS NULL }", event));
  CHECK(matches("{ $.yes IS TRUE }", event));
  CHECK(matches("{ $.no IS FALSE }", event));
  CHECK_FALSE(matches("{ $.no IS TRUE }", event));
  CHECK(matches("{ $.yes = true }", event));
  CHECK(matches("{ $.missing NOT EXISTS }", event));
  CHECK_FALSE(matches("{ $.none NOT EXISTS }", event));
  CHECK(matches("{ $.a EXISTS }", event));
  CHECK(matches("{ $.a = * }", event));
  CHECK_FALSE(matches("{ $.missing = * }", event));
  CHECK_FALSE(matches("{ $.missing != 1 }", event));
  CHECK(matches("{ ($.a = 1 || $.a = 2) && $.b = \"x\" }", event));
  CHECK(matches("{ $.a = 2 && $.b = \"y\" || $.yes IS TRUE }", event));
  CHECK_FALSE(matches("{ $.a = 2 && ($.b = \"y\" || $.yes IS TRUE) }", event));
  CHECK_FALSE(matches("{ $.a = 1 }", "not JSON"));
  CHECK_FALSE(matches("{ $.a = 1 }", R"({"a":1)"));
  CHECK(matches("{ $.a != \"x\" }", event));
}

TEST_CASE("log pattern: words by position") {
  std::string_view event =
      R"(127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534)";
  CHECK(matches("[ip, user, username, timestamp, request, status_code, bytes]", event));
  CHECK_FALSE(matches("[ip, user, username, timestamp, request, status_code]", event));
  CHECK(matches("[ip, user, username, timestamp, request, status_code = 4*, bytes > 1000]", event));
  CHECK(matches("[..., status_code=404, bytes]", event));
  CHECK(matches("[ip, ..., request = *.html*, status_code = 404, bytes]", event));
  CHECK_FALSE(matches("[..., status_code=5*, bytes]", event));
  CHECK(matches("[ip, user, username=frank || username=mary, ...]", event));
  CHECK_FALSE(matches("[ip, user, username!=frank && username!=mary, ...]", event));
  CHECK(matches("[ip=%127\\.0\\.0\\.[0-9]%, ...]", event));
  CHECK(matches("[w1=ERROR, w2]", "ERROR something"));
  CHECK(matches("[...]", ""));
}

TEST_CASE("log pattern: what is not a pattern is refused with a place") {
  for (auto bad : {"{",
                   "{}",
                   "{ $.a }",
                   "{ $.a = }",
                   "{ a = 1 }",
                   "{ $.a = 1",
                   "{ $.a = 1 } x",
                   "{ $.a IS 1 }",
                   "{ $.a NOT 1 }",
                   "{ ($.a = 1 }",
                   "{ $.a[ = 1 }",
                   "{ $. = 1 }",
                   "[",
                   "[a",
                   "[a] b",
                   "[a=]",
                   "[,]",
                   "\"open",
                   "%open",
                   "%(%",
                   "a:b",
                   "-",
                   "?"}) {
    CAPTURE(bad);
    CHECK(refused(bad));
  }
  CHECK(refused("{ " + std::string(200, '(')));
  CHECK(LogPattern::parse("a:b").error().message ==
        "the character ':' must stand in quotes at character 2 of the filter pattern");
}
