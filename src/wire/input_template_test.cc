#include "wire/input_template.h"

#include <doctest/doctest.h>

#include "wire/json_path.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

std::string found(std::string_view path, std::string_view json) {
  auto read = JsonPath::parse(path);
  if (!read) return "(bad)";
  auto value = read->find(*parse_json(json));
  return value ? value->dump() : "(none)";
}

std::string filled(std::string_view text) {
  auto event = *parse_json(R"({"s":"a \"b\"","n":5,"o":{"k":"v"},"l":["x",1],"z":null})");
  auto read = InputTemplate::parse(text, [](std::string_view) { return true; });
  if (!read) return "(bad)";
  auto out = read->fill([&](std::string_view name) -> std::optional<Json> {
    const auto* value = event.find(name);
    return value == nullptr ? std::nullopt : std::optional(*value);
  });
  return out ? *out : "(not JSON)";
}

}  // namespace

TEST_CASE("json path: names, indices, wildcards") {
  constexpr std::string_view event =
      R"({"detail":{"a-b":{"c":[1,{"d":2},{"d":3}]}},"detail-type":"t","x/y":7})";
  CHECK(found("$", "{}") == "{}");
  CHECK(found("$.detail.a-b.c[0]", event) == "1");
  CHECK(found("$.detail.a-b.c[1].d", event) == "2");
  CHECK(found("$.detail.a-b.c[*].d", event) == "[2,3]");
  CHECK(found("$.detail.*.c[0]", event) == "[1]");
  CHECK(found("$['detail-type']", event) == R"("t")");
  CHECK(found("$.x/y", event) == "7");
  CHECK(found("$.detail.q", event) == "(none)");
  CHECK(found("$.detail.a-b.c[9]", event) == "(none)");
  for (const auto* bad : {"", "detail", "$detail", "$.", "$.a[", "$.a[x]", "$.a[-1]", "$['a"}) {
    CAPTURE(bad);
    CHECK(found(bad, event) == "(bad)");
  }
}

TEST_CASE("input template: values by themselves and in quotes") {
  CHECK(filled(R"({"a":<s>,"b":<n>,"c":<o>,"d":<l>,"e":<z>})") ==
        R"({"a":"a \"b\"","b":5,"c":{"k":"v"},"d":["x",1],"e":null})");
  CHECK(filled(R"({"a":"<s>!","b":"<n>","c":"<o>","d":"<l>"})") ==
        R"({"a":"a \"b\"!","b":"5","c":"{k:v}","d":"[x,1]"})");
  CHECK(filled(R"("<s> is \"<n>\"")") == R"("a \"b\" is \"5\"")");
  CHECK(filled("\"one <n>\"\n\"two <o>\"") == "\"one 5\"\n\"two {k:v}\"");
  CHECK(filled(R"({"a":<missing>,"b":"x<missing>"})") == R"({"a":"","b":"x"})");
  CHECK(filled(R"({"a":"1 < 2 > 0"})") == R"({"a":"1 < 2 > 0"})");
  CHECK(filled("<o>") == R"({"k":"v"})");
}

TEST_CASE("input template: what is none") {
  CHECK(filled("plain text") == "(bad)");
  CHECK(filled(R"({"a":<s>)") == "(bad)");
  CHECK(filled("\"a\"\n{}") == "(bad)");
  auto none = [](std::string_view) { return false; };
  CHECK_FALSE(InputTemplate::parse(R"({"a":<s>})", none).has_value());
  CHECK(InputTemplate::parse(R"({"a":1})", none).has_value());
}
