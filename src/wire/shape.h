// Shape: one type of a cloud's API model, as data. tools/model-gen writes constant tables of these
// from models/; tests build the same tables at run time from protocol vectors. The codecs of
// wire/protocol/ walk a Shape beside a Value; they know no service.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mayfly::wire {

enum class ShapeKind : std::uint8_t {
  structure,
  list,
  map,
  string,
  blob,
  boolean,
  integer,
  long_integer,
  float_number,
  double_number,
  timestamp,
  document,
};

// Where a member travels in a REST protocol.
enum class Location : std::uint8_t { body, header, headers, uri, query, status_code };

enum class TimestampFormat : std::uint8_t { unset, iso8601, rfc822, epoch_seconds };

enum class Protocol : std::uint8_t { rest_json, rest_xml, json, query, ec2, rpc_v2_cbor };

struct Shape;

struct Member {
  std::string_view name = {};  // the model's member name
  const Shape* shape = nullptr;
  std::string_view wire_name = {};   // locationName, else name
  std::string_view query_name = {};  // queryName of the ec2 protocol, else empty
  // The name in forms and XML, of a model that speaks JSON as well and is named otherwise there.
  std::string_view form_name = {};
  Location location = Location::body;
  bool required = false;
  bool xml_attribute = false;
  bool flattened = false;  // on the member (rest-xml lists and maps)
  bool streaming = false;
  bool idempotency_token = false;
  bool event_header = false;  // travels as an event-stream header
  bool event_payload = false;
  bool host_label = false;
  bool json_value = false;  // jsonvalue trait: JSON in base64 in a header
  TimestampFormat timestamp = TimestampFormat::unset;
  std::string_view xml_namespace = {};  // uri
  std::string_view xml_prefix = {};
};

struct Shape {
  std::string_view name = {};
  ShapeKind kind = ShapeKind::structure;
  // structure
  std::span<const Member> members = {};
  int payload = -1;  // index of the payload member, or -1
  bool is_union = false;
  bool is_event_stream = false;
  std::string_view xml_name = {};  // locationName of the structure itself (root element)
  std::string_view xml_namespace = {};
  std::string_view xml_prefix = {};
  // list: element · map: key and value. wire_name defaults: "member", "key", "value".
  const Member* element = nullptr;
  const Member* key = nullptr;
  bool flattened = false;
  // constraints, in the unit that the kind implies (characters, entries, bytes or the value)
  std::optional<double> min = {};
  std::optional<double> max = {};
  std::string_view pattern = {};    // as the model writes it (what messages quote); whole match
  std::string_view regex = {};      // the same for RE2, which has no look-around; empty: pattern
  std::string_view forbidden = {};  // RE2: a value that matches this whole is refused too
  std::span<const std::string_view> enum_values = {};
  bool sensitive = false;
  TimestampFormat timestamp = TimestampFormat::unset;
  bool boxed = false;
  std::string_view media_type = {};  // jsonvalue strings: "application/json"
  // error structures
  int http_status = 0;               // 0: not an error
  std::string_view error_code = {};  // error.code of the model, else the name
  bool sender_fault = true;
};

}  // namespace mayfly::wire
