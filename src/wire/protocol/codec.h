// Codec: the server side of the AWS protocols. Decodes a request into the Record of an operation's
// input and encodes Records and errors into responses, walking a Shape beside the values. Knows no
// service, does no I/O, keeps nothing between calls: safe from any thread.
//
// Read by front/ alone. Unknown members and nulls of a request are ignored; a member of the wrong
// type refuses the whole request with a message that names it ("Member 'code.zipFile' must be …").
// Constraints (required, length, pattern …) are wire/validate.h's business.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/shape.h"
#include "wire/text.h"
#include "wire/value.h"

namespace mayfly::wire {

// What a codec must know of an operation and its service (api::Operation and api::ServiceModel hold
// the same facts; a room of this floor cannot name them).
struct CodecOperation {
  Protocol protocol = Protocol::json;
  std::string_view name = {};
  const Shape* input = nullptr;
  const Shape* output = nullptr;
  int success_status = 200;
  std::string_view json_version = "1.1";
  std::string_view xml_namespace = {};
  std::string_view result_wrapper = {};  // query; "<name>Result" where empty
  // Content type of a blob payload when no member of the output says one.
  std::string_view blob_content_type = "application/octet-stream";
  bool query_compatible = false;  // awsQueryCompatible: errors carry x-amzn-query-error
  // rest-xml as S3 writes it: a declaration before the root, no <ErrorResponse> around <Error>,
  // identifiers of the request in x-amz-request-id and x-amz-id-2.
  bool bare_xml_errors = false;
};

struct HttpRequestParts {
  std::string_view method = {};
  std::string_view path = {};
  Pairs query = {};         // decoded
  FieldViews headers = {};  // names as received; compared without case
  std::string_view body = {};
  Pairs labels = {};  // of the path, decoded (wire/route.h)
};

struct HttpResponseParts {
  int status = 200;
  Pairs headers = {};  // Content-Length is front's
  std::string body = {};
};

// The error of an operation, in parts. `detail` is the Record of its error shape, or nullptr for
// errors that the model does not know; `message` fills the shape's message member.
struct ErrorParts {
  std::string_view code = {};
  std::string_view message = {};
  int http_status = 400;
  bool sender_fault = true;
  const Record* detail = nullptr;
  std::string_view resource = {};  // with bare_xml_errors: the path
};

// Kind invalid, with the text of a SerializationException.
Result<Record> decode_request(const CodecOperation& operation, const HttpRequestParts& request);

HttpResponseParts encode_response(const CodecOperation& operation, const Record& output,
                                  std::string_view request_id);

// `operation.name`, `input` and `output` may be unset: some errors come before the operation is
// known.
HttpResponseParts encode_error(const CodecOperation& operation, const ErrorParts& error,
                               std::string_view request_id);

}  // namespace mayfly::wire
