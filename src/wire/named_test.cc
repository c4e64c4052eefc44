#include "wire/named.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

namespace {

const Shape text{.kind = ShapeKind::string};
const Shape blob{.kind = ShapeKind::blob};
const Shape whole{.kind = ShapeKind::integer};
const Shape number{.kind = ShapeKind::double_number};
const Shape flag{.kind = ShapeKind::boolean};
const Shape time_shape{.kind = ShapeKind::timestamp};
const Member text_member{.name = "member", .shape = &text};
const Shape texts{.kind = ShapeKind::list, .element = &text_member};
const Shape pairs{.kind = ShapeKind::map, .element = &text_member, .key = &text_member};
const std::array<Member, 8> members{{
    {.name = "Name", .shape = &text, .wire_name = "n"},
    {.name = "Payload", .shape = &blob},
    {.name = "Count", .shape = &whole},
    {.name = "Share", .shape = &number},
    {.name = "Dry", .shape = &flag},
    {.name = "When", .shape = &time_shape},
    {.name = "List", .shape = &texts},
    {.name = "Map", .shape = &pairs},
}};
const Shape shape{.kind = ShapeKind::structure, .members = members};

Result<Record> read(std::string_view json) { return record_of_names(shape, *parse_json(json)); }

std::string refused(std::string_view json) {
  auto out = read(json);
  REQUIRE(!out.has_value());
  CHECK(out.error().kind == ErrorKind::invalid);
  return out.error().message;
}

}  // namespace

TEST_CASE("named values: the model's names, and the types of members") {
  auto out = read(R"({"Name":"x","payload":"raw","Count":3,"Share":1,"Dry":true,"When":5.5,)"
                  R"("List":["a","b"],"Map":{"k":"v"}})");
  REQUIRE_MESSAGE(out.has_value(), out.error().message);
  CHECK(*out->at(0).get<std::string>() == "x");
  CHECK(out->at(1).get<Blob>()->bytes == "raw");
  CHECK(*out->at(2).get<std::int64_t>() == 3);
  CHECK(*out->at(3).get<double>() == 1.0);
  CHECK(*out->at(4).get<bool>());
  CHECK(out->at(5).get<Timestamp>()->epoch_seconds == 5.5);
  CHECK(out->at(6).get<List>()->size() == 2);
  CHECK(out->at(7).get<Map>()->front().first == "k");
}

TEST_CASE("named values: JSON that stands for a text, nulls, times as texts") {
  auto out = read(R"({"Payload":{"a":1},"Name":null,"When":"1970-01-01T00:00:07Z"})");
  REQUIRE(out.has_value());
  CHECK(out->at(1).get<Blob>()->bytes == R"({"a":1})");
  CHECK(!out->has(0));
  CHECK(out->at(5).get<Timestamp>()->epoch_seconds == 7);
}

TEST_CASE("named values: what is wrong is named") {
  CHECK(refused(R"({"n":"x"})").contains("'n'"));
  CHECK(refused(R"({"Count":"3"})").contains("'Count'"));
  CHECK(refused(R"({"List":"a"})").contains("array"));
  CHECK(refused(R"({"List":[1]})").contains("List[0]"));
  CHECK(refused(R"({"Map":{"k":1}})").contains("Map.k"));
  CHECK(refused(R"({"Map":[]})").contains("object"));
  CHECK(refused(R"({"Dry":1})").contains("true or false"));
  CHECK(refused(R"({"When":"soon"})").contains("time"));
  CHECK(refused(R"([])").contains("object"));
}
