// Parts shared by the codecs of this folder; included by them alone.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/json.h"
#include "wire/protocol/codec.h"
#include "wire/shape.h"
#include "wire/value.h"

namespace mayfly::wire::protocol {

// Nesting of values in any protocol; parsers of untrusted text stop here.
inline constexpr int depth_limit = 128;
// XML bodies are lists of settings, never data; a parsed tree takes many times their size.
inline constexpr std::size_t xml_body_limit = 8 * 1024 * 1024;

// Errors of nested values: `why` at the leaf ("must be an integer"), and the way to it grows in
// `reason` while the error passes up.
std::unexpected<Error> bad_value(std::string why);
std::unexpected<Error> in_member(Error error, std::string_view member);
std::unexpected<Error> in_item(Error error, std::size_t index);
Error name_the_member(Error error);  // "Member 'a.b[0]' must be …"

TimestampFormat timestamp_format(const Member& member, TimestampFormat fallback);
std::string format_timestamp(Timestamp time, TimestampFormat format);
Result<Value> parse_timestamp(std::string_view text, TimestampFormat format);
std::int64_t millis_of(Timestamp time);
std::string text_of_double(double value);  // "NaN", "Infinity", "-Infinity"
Result<double> double_of_text(std::string_view text);
bool fits_kind(std::int64_t value, ShapeKind kind);  // 32 bits for integer

// Scalars as text: headers, labels, queries, forms and XML.
Result<Value> scalar_of_text(const Member& member, std::string_view text, TimestampFormat fallback);
std::string text_of_scalar(const Member& member, const Value& value, TimestampFormat fallback);

// JSON bodies (rest-json, json).
Result<Value> value_of_json(const Member& member, const Json& json);
Result<Record> record_of_json(const Shape& shape, const Json& json);
void append_value_json(std::string& out, const Member& member, const Value& value);
// Members travelling in the body only. `type_name` becomes "__type" where not empty.
void append_record_json(std::string& out, const Record& record, std::string_view type_name = {});
Result<Record> decode_json_body(const Shape& shape, std::string_view body);

// XML bodies (rest-xml, answers of query and ec2).
Result<Record> decode_xml_body(const Shape& shape, std::string_view body);
void append_xml_text(std::string& out, std::string_view text);
// <name xmlns="…">members</name>
void append_record_xml(std::string& out, std::string_view name, std::string_view xml_namespace,
                       const Record& record);
void append_members_xml(std::string& out, const Record& record);
// <name xmlns="…">text</name>
void append_text_root(std::string& out, const Member& member, std::string_view xml_namespace,
                      const Value& value);

// CBOR (rpc-v2-cbor).
Result<Record> decode_cbor_body(const Shape& shape, std::string_view body);
void append_record_cbor(std::string& out, const Record& record, std::string_view type_name = {},
                        const std::string* extra_message = nullptr);

// Forms (query, ec2).
Result<Record> decode_form(const CodecOperation& operation, const HttpRequestParts& request);

// REST bindings.
Result<Record> decode_rest(const CodecOperation& operation, const HttpRequestParts& request);
HttpResponseParts encode_rest(const CodecOperation& operation, const Record& output);
// Members bound to headers and the status code.
void encode_bound(const Record& output, HttpResponseParts& response);

// The slot that holds an error's text ("message" or "Message"), or -1.
int message_member(const Shape& shape);

}  // namespace mayfly::wire::protocol
