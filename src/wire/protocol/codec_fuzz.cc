// Any bytes as the body of a request in each protocol, over a shape with every kind of member that
// holds itself. What is accepted is validated, encoded as an answer, and must decode to the same
// where the protocol writes and reads one form.
//
//   byte 0 | protocol
//   1 …    | body; for REST also header, query and label values, cut at the first line ends
#include <cstdint>
#include <cstdlib>

#include "wire/protocol/codec.h"
#include "wire/validate.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

extern const Shape everything;

constexpr std::string_view values[] = {"A", "B"};
const Shape text{.name = "Text",
                 .kind = ShapeKind::string,
                 .min = 1,
                 .max = 3,
                 .pattern = "[a-z]+",
                 .enum_values = values};
const Shape integer{.name = "Integer", .kind = ShapeKind::integer, .min = 1, .max = 9};
const Shape whole{.name = "Long", .kind = ShapeKind::long_integer};
const Shape real{.name = "Double", .kind = ShapeKind::double_number};
const Shape flag{.name = "Flag", .kind = ShapeKind::boolean};
const Shape blob{.name = "Blob", .kind = ShapeKind::blob};
const Shape when{.name = "When", .kind = ShapeKind::timestamp};
const Member list_element{.name = "member", .shape = &everything, .wire_name = "member"};
const Shape list{.name = "List", .kind = ShapeKind::list, .element = &list_element};
const Member text_element{.name = "member", .shape = &text, .wire_name = "member"};
const Shape texts{.name = "Texts", .kind = ShapeKind::list, .element = &text_element};
const Member key{.name = "key", .shape = &text, .wire_name = "key"};
const Member value{.name = "value", .shape = &everything, .wire_name = "value"};
const Shape map{.name = "Map", .kind = ShapeKind::map, .element = &value, .key = &key};
const Member members[] = {
    {.name = "t", .shape = &text, .wire_name = "t", .required = true},
    {.name = "i", .shape = &integer, .wire_name = "i"},
    {.name = "w", .shape = &whole, .wire_name = "w"},
    {.name = "r", .shape = &real, .wire_name = "r"},
    {.name = "f", .shape = &flag, .wire_name = "f"},
    {.name = "b", .shape = &blob, .wire_name = "b"},
    {.name = "d", .shape = &when, .wire_name = "d"},
    {.name = "l", .shape = &list, .wire_name = "l"},
    {.name = "m", .shape = &map, .wire_name = "m"},
    {.name = "s", .shape = &everything, .wire_name = "s"},
    {.name = "a", .shape = &text, .wire_name = "a", .xml_attribute = true},
    {.name = "fl", .shape = &texts, .wire_name = "fl", .flattened = true},
    {.name = "h", .shape = &texts, .wire_name = "X-H", .location = Location::header},
    {.name = "q", .shape = &texts, .wire_name = "q", .location = Location::query},
    {.name = "u", .shape = &when, .wire_name = "u", .location = Location::uri},
};
const Shape everything{.name = "Everything", .kind = ShapeKind::structure, .members = members};

constexpr Protocol protocols[] = {Protocol::rest_json, Protocol::rest_xml, Protocol::json,
                                  Protocol::query,     Protocol::ec2,      Protocol::rpc_v2_cbor};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  CodecOperation operation{.protocol = protocols[data[0] % std::size(protocols)],
                           .name = "Fuzz",
                           .input = &everything,
                           .output = &everything};
  HttpRequestParts request{.method = "POST", .path = "/", .body = bytes};
  if (data[0] & 0x80) {
    auto lines = split(bytes, '\n');
    request.headers = {{"x-h", std::string(lines[0])}};
    if (lines.size() > 1) request.query = {{"q", std::string(lines[1])}};
    if (lines.size() > 2) request.labels = {{"u", std::string(lines[2])}};
    if (lines.size() > 3) request.body = lines[3];
  }
  auto record = decode_request(operation, request);
  if (!record) return 0;
  (void)validate(*record);
  auto response = encode_response(operation, *record, "id");
  bool one_form =
      operation.protocol == Protocol::json || operation.protocol == Protocol::rpc_v2_cbor;
  if (!one_form) return 0;
  auto again = decode_request(operation, {.body = response.body});
  if (!again) std::abort();
  if (encode_response(operation, *again, "id").body != response.body) std::abort();
  return 0;
}
