#include "wire/validate.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

namespace {

constexpr std::string_view kinds[] = {"Zip", "Image"};
const Shape name{.name = "Name",
                 .kind = ShapeKind::string,
                 .min = 1,
                 .max = 8,
                 .pattern = "(?!^[0-9]+$)([a-z0-9]+)",
                 .regex = "[a-z0-9]+",
                 .forbidden = "[0-9]+"};
const Shape kind{.name = "Kind", .kind = ShapeKind::string, .enum_values = kinds};
const Shape size{.name = "Size", .kind = ShapeKind::integer, .min = 128, .max = 10240};
const Shape secret{.name = "Secret", .kind = ShapeKind::string, .max = 4, .sensitive = true};
const Shape unknown{.name = "Unknown", .kind = ShapeKind::string, .pattern = "(?<!a)b"};
const Member name_item{.name = "member", .shape = &name};
const Shape names{.name = "Names", .kind = ShapeKind::list, .element = &name_item, .max = 2};
const Member kind_item{.name = "value", .shape = &kind};
const Shape map{.name = "Map", .kind = ShapeKind::map, .element = &kind_item, .key = &name_item};
const Member code_members[] = {{.name = "S3Bucket", .shape = &name, .required = true}};
const Shape code{.name = "Code", .kind = ShapeKind::structure, .members = code_members};
const Member code_item{.name = "member", .shape = &code};
const Shape codes{.name = "Codes", .kind = ShapeKind::list, .element = &code_item};
const Member members[] = {
    {.name = "FunctionName", .shape = &name, .required = true},
    {.name = "PackageType", .shape = &kind},
    {.name = "MemorySize", .shape = &size},
    {.name = "Token", .shape = &secret},
    {.name = "Layers", .shape = &names},
    {.name = "Variables", .shape = &map},
    {.name = "Code", .shape = &code},
    {.name = "Codes", .shape = &codes},
    {.name = "Odd", .shape = &unknown},
};
const Shape input{.name = "Input", .kind = ShapeKind::structure, .members = members};

std::string message(std::size_t slot, Value value) {
  Record record(input);
  record.at(0) = "fine";
  record.at(slot) = std::move(value);
  auto result = validate(record);
  return result ? "" : result.error().message;
}

constexpr std::string_view one = "1 validation error detected: ";

}  // namespace

TEST_CASE("a record within its constraints passes") {
  CHECK(message(0, "abc") == "");
  CHECK(message(2, std::int64_t{128}) == "");
  CHECK(message(4, List{Value("a"), Value("b")}) == "");
}

TEST_CASE("each constraint speaks in the cloud's words") {
  std::string start(one);
  CHECK(message(0, Value()) ==
        start +
            "Value null at 'functionName' failed to satisfy constraint: Member must not be null");
  CHECK(message(2, std::int64_t{1}) ==
        start +
            "Value '1' at 'memorySize' failed to satisfy constraint: Member must have value "
            "greater than or equal to 128");
  CHECK(message(2, std::int64_t{20000})
            .ends_with("Member must have value less than or equal to 10240"));
  CHECK(message(1, "Tar") ==
        start +
            "Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum "
            "value set: [Zip, Image]");
  CHECK(message(0, "a b") ==
        start +
            "Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: (?!^[0-9]+$)([a-z0-9]+)");
  CHECK(message(0, "123") != "");
  CHECK(message(0, "ééééééééé").contains("length less than or equal to 8"));
}

TEST_CASE("several violations come in one message") {
  Record record(input);
  record.at(0) = "";
  record.at(2) = std::int64_t{0};
  auto result = validate(record);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().message.starts_with("3 validation errors detected: Value '' at"));
  CHECK(violations(record).size() == 3);
}

TEST_CASE("lists, maps and nested structures have the cloud's paths") {
  CHECK(message(4, List{Value("A"), Value("B")}) ==
        std::string(one) +
            "Value '[A, B]' at 'layers' failed to satisfy constraint: Member must satisfy "
            "constraint: "
            "[Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-z0-9]+)]");
  CHECK(
      message(5, Map{{"A", Value("Zip")}})
          .contains("Value '{A=Zip}' at 'variables' failed to satisfy constraint: Map keys must"));
  CHECK(message(5, Map{{"a", Value("x")}}).contains("Map value must satisfy constraint: [Member"));
  CHECK(message(6, Record(code)).contains("Value null at 'code.s3Bucket'"));
  CHECK(message(7, List{Value(Record(code))}).contains("at 'codes.1.member.s3Bucket'"));
}

TEST_CASE("a message names 64 violations at most") {
  List many;
  for (int i = 0; i < 1000; ++i) many.emplace_back(Record(code));
  Record record(input);
  record.at(0) = "fine";
  record.at(7) = std::move(many);
  CHECK(violations(record).size() == 64);
}

TEST_CASE("secrets are not repeated and long values are cut") {
  CHECK(message(3, "password") ==
        std::string(one) +
            "Value at 'token' failed to satisfy constraint: Member must have length "
            "less than or equal to 4");
  CHECK(message(1, std::string(100'000, 'x')).size() < 2000);
}

TEST_CASE("a pattern that cannot be checked is never passed over") {
  CHECK(message(8, "b").contains("this server cannot check the pattern of Unknown"));
}
