#include "wire/protocol/codec.h"

#include <doctest/doctest.h>

using namespace mayfly;
using namespace mayfly::wire;

namespace {

const Shape text{.name = "Text", .kind = ShapeKind::string};
const Shape number{.name = "Number", .kind = ShapeKind::integer};
const Shape blob{.name = "Bytes", .kind = ShapeKind::blob};
const Shape when{.name = "When", .kind = ShapeKind::timestamp};
const Member code_members[] = {{.name = "ZipFile", .shape = &blob, .wire_name = "ZipFile"}};
const Shape code{.name = "Code", .kind = ShapeKind::structure, .members = code_members};
const Member texts_element{.name = "member", .shape = &text, .wire_name = "member"};
const Shape texts{.name = "Texts", .kind = ShapeKind::list, .element = &texts_element};
const Member input_members[] = {
    {.name = "Name", .shape = &text, .wire_name = "Name", .location = Location::uri},
    {.name = "Kind", .shape = &text, .wire_name = "X-Kind", .location = Location::header},
    {.name = "Size", .shape = &number, .wire_name = "Size"},
    {.name = "Code", .shape = &code, .wire_name = "Code"},
    {.name = "Layers", .shape = &texts, .wire_name = "Layers"},
    {.name = "At", .shape = &when, .wire_name = "At"},
};
const Shape input{.name = "Input", .kind = ShapeKind::structure, .members = input_members};
const Member error_members[] = {
    {.name = "Type", .shape = &text, .wire_name = "Type"},
    {.name = "Message", .shape = &text, .wire_name = "Message"},
    {.name = "retry", .shape = &text, .wire_name = "Retry-After", .location = Location::header},
};
const Shape error_shape{
    .name = "TooManyRequestsException", .kind = ShapeKind::structure, .members = error_members};

extern const Shape tree;
const Member tree_members[] = {{.name = "Child", .shape = &tree, .wire_name = "Child"}};
const Shape tree{.name = "Tree", .kind = ShapeKind::structure, .members = tree_members};

CodecOperation operation(Protocol protocol) {
  return {.protocol = protocol, .name = "Create", .input = &input, .output = &input};
}

std::string refusal(Protocol protocol, std::string_view body) {
  auto record = decode_request(operation(protocol), {.body = body});
  REQUIRE_FALSE(record.has_value());
  CHECK(record.error().kind == ErrorKind::invalid);
  return record.error().message;
}

}  // namespace

TEST_CASE("rest-json takes members from path, headers and body and ignores the rest") {
  auto record = decode_request(
      operation(Protocol::rest_json),
      {.method = "POST",
       .headers = {{"x-kind", "tail"}},
       .body =
           R"({"Size":128,"Code":{"ZipFile":"UEs="},"Layers":["a",null,"b"],"At":1.5,"X":[{}]})",
       .labels = {{"Name", "hello"}}});
  REQUIRE(record.has_value());
  CHECK(record->at(0) == Value("hello"));
  CHECK(record->at(1) == Value("tail"));
  CHECK(record->at(2) == Value(std::int64_t{128}));
  CHECK(record->at(3).get<Record>()->at(0) == Value(Blob{"PK"}));
  CHECK(record->at(4) == Value(List{Value("a"), Value("b")}));
  CHECK(record->at(5) == Value(Timestamp{1.5}));
}

TEST_CASE("a wrong member refuses the request and is named") {
  CHECK(refusal(Protocol::rest_json, R"({"Size":"big"})") ==
        "Member 'Size' must be an integer, not a string");
  CHECK(refusal(Protocol::json, R"({"Code":{"ZipFile":"!"}})") ==
        "Member 'Code.ZipFile' must be a blob: not valid base64: wrong length");
  CHECK(refusal(Protocol::json, R"({"Layers":["a",1]})") ==
        "Member 'Layers[1]' must be a string, not a number");
  CHECK(refusal(Protocol::json, R"({"Size":3000000000})") ==
        "Member 'Size' must be an integer in range, not 3000000000");
  CHECK(refusal(Protocol::json, "[]") == "must be a structure, not a list");
  CHECK(refusal(Protocol::json, "{") == "invalid JSON at line 1 column 2: unexpected end");
  CHECK(refusal(Protocol::query, "Size=x") == "Member 'Size' must be an integer, not 'x'");
  CHECK(refusal(Protocol::rest_xml, "<a>").starts_with("invalid XML at offset"));
  CHECK(refusal(Protocol::rpc_v2_cbor, "\x9f") == "must be a structure");
}

TEST_CASE("deep nesting is refused in every protocol, not survived by luck") {
  std::string open;
  for (int i = 0; i < 100'000; ++i) open += "[";
  CHECK(refusal(Protocol::json, "{\"X\":" + open).contains("too deep"));
  CHECK(refusal(Protocol::rpc_v2_cbor, "\xbf\x61x" + std::string(100'000, '\x81'))
            .contains("too deep"));
  std::string dots = "a";
  for (int i = 0; i < 1000; ++i) dots += ".a";
  CHECK(refusal(Protocol::query, dots + "=1").contains("too deep"));
}

TEST_CASE("XML is refused when it nests too deep, is too large or is not UTF-8") {
  CodecOperation trees{
      .protocol = Protocol::rest_xml, .name = "Put", .input = &tree, .output = nullptr};
  auto nested = [](int depth) {
    std::string open, close;
    for (int i = 0; i < depth; ++i) {
      open += "<Child>";
      close += "</Child>";
    }
    return "<Tree>" + open + close + "</Tree>";
  };
  CHECK(decode_request(trees, {.body = nested(100)}).has_value());
  auto deep = decode_request(trees, {.body = nested(200)});
  REQUIRE_FALSE(deep.has_value());
  CHECK(deep.error().message.contains("nested too deep"));
  std::string large = "<Tree>" + std::string(8 * 1024 * 1024, ' ') + "</Tree>";
  auto refused = decode_request(trees, {.body = large});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::too_large);
  CHECK_FALSE(decode_request(trees, {.body = "<Tree>\xff</Tree>"}).has_value());
}

TEST_CASE("entities of a document type are not expanded") {
  std::string body =
      "<!DOCTYPE t [<!ENTITY x \"boom\">]><I><Layers><member>&x;</member></Layers></I>";
  auto record = decode_request(operation(Protocol::rest_xml), {.body = body});
  REQUIRE(record.has_value());
  CHECK(record->at(4) == Value(List{Value("&x;")}));
}

TEST_CASE("errors carry the shape's members, the code where the protocol wants it, and the id") {
  Record detail(error_shape);
  detail.at(0) = "User";
  detail.at(2) = "10";
  ErrorParts error{.code = "TooManyRequestsException",
                   .message = "Rate exceeded",
                   .http_status = 429,
                   .sender_fault = true,
                   .detail = &detail};
  auto rest = encode_error(operation(Protocol::rest_json), error, "id-1");
  CHECK(rest.status == 429);
  CHECK(rest.body == R"({"Type":"User","Message":"Rate exceeded"})");
  CHECK(*find_pair(rest.headers, "x-amzn-ErrorType") == "TooManyRequestsException");
  CHECK(*find_pair(rest.headers, "Retry-After") == "10");
  CHECK(*find_pair(rest.headers, "x-amzn-RequestId") == "id-1");
  error.detail = nullptr;
  auto json = encode_error(operation(Protocol::json), error, "id-1");
  CHECK(json.body == R"({"__type":"TooManyRequestsException","message":"Rate exceeded"})");
  CHECK(*find_pair(json.headers, "Content-Type") == "application/x-amz-json-1.1");
  auto query = encode_error(operation(Protocol::query), error, "id-1");
  CHECK(query.body ==
        "<ErrorResponse><Error><Type>Sender</Type><Code>TooManyRequestsException</Code>"
        "<Message>Rate exceeded</Message></Error><RequestId>id-1</RequestId></ErrorResponse>");
}

TEST_CASE("a value cannot write headers of its own") {
  Record output(input);
  output.at(1) = "a\r\nSet-Cookie: x";
  auto response = encode_response(operation(Protocol::rest_json), output, "");
  CHECK(*find_pair(response.headers, "X-Kind") == "aSet-Cookie: x");
}

TEST_CASE("an answer without content has no type and no body") {
  CodecOperation none = operation(Protocol::rest_json);
  none.success_status = 204;
  auto response = encode_response(none, Record(input), "id");
  CHECK(response.status == 204);
  CHECK(response.body.empty());
  CHECK(find_pair(response.headers, "Content-Type") == nullptr);
}
