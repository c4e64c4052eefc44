#include "wire/protocol/codec.h"

#include "wire/protocol/parts.h"

namespace mayfly::wire {

namespace {

using namespace protocol;

Result<Record> decode_body(const CodecOperation& operation, const HttpRequestParts& request) {
  switch (operation.protocol) {
    case Protocol::rest_json:
    case Protocol::rest_xml: return decode_rest(operation, request);
    case Protocol::json: return decode_json_body(*operation.input, request.body);
    case Protocol::query:
    case Protocol::ec2: return decode_form(operation, request);
    case Protocol::rpc_v2_cbor: return decode_cbor_body(*operation.input, request.body);
  }
  return fail(ErrorKind::internal, "unknown protocol");
}

void content_type(HttpResponseParts& response, std::string type) {
  if (find_pair_nocase(response.headers, "content-type") != nullptr) return;
  response.headers.emplace_back("Content-Type", std::move(type));
}

std::string json_type(const CodecOperation& operation) {
  return fmt::format("application/x-amz-json-{}", operation.json_version);
}

void append_element(std::string& out, std::string_view name, std::string_view text) {
  out += fmt::format("<{}>", name);
  append_xml_text(out, text);
  out += fmt::format("</{}>", name);
}

void open_root(std::string& out, std::string_view name, std::string_view xml_namespace) {
  out += fmt::format("<{}", name);
  if (!xml_namespace.empty()) {
    out += " xmlns=\"";
    append_xml_text(out, xml_namespace);
    out += '"';
  }
  out += '>';
}

// query:  <XResponse><XResult>members</XResult><ResponseMetadata>…</ResponseMetadata></XResponse>
// ec2:    <XResponse>members<requestId>…</requestId></XResponse>
void append_form_answer(std::string& out, const CodecOperation& operation, const Record* output,
                        std::string_view request_id) {
  std::string root = fmt::format("{}Response", operation.name);
  open_root(out, root, operation.xml_namespace);
  if (operation.protocol == Protocol::ec2) {
    if (output != nullptr) append_members_xml(out, *output);
    append_element(out, "requestId", request_id);
  } else {
    if (output != nullptr) {
      std::string wrapper(operation.result_wrapper);
      if (wrapper.empty()) wrapper = fmt::format("{}Result", operation.name);
      out += fmt::format("<{}>", wrapper);
      append_members_xml(out, *output);
      out += fmt::format("</{}>", wrapper);
    }
    out += "<ResponseMetadata>";
    append_element(out, "RequestId", request_id);
    out += "</ResponseMetadata>";
  }
  out += fmt::format("</{}>", root);
}

// The detail with its message filled in, ready to be written; `extra` says that the shape has no
// place for the message.
struct ErrorBody {
  std::optional<Record> record;
  bool extra_message = false;
};

ErrorBody error_body(const ErrorParts& error) {
  ErrorBody body;
  if (error.detail == nullptr || error.detail->shape == nullptr) {
    body.extra_message = !error.message.empty();
    return body;
  }
  body.record = *error.detail;
  int index = message_member(*error.detail->shape);
  if (index < 0) {
    body.extra_message = !error.message.empty();
  } else if (!error.message.empty()) {
    auto slot = static_cast<std::size_t>(index);
    if (!body.record->has(slot)) body.record->at(slot) = std::string(error.message);
  }
  return body;
}

// JSON's and CBOR's type is the shape's name; query's and XML's code is the model's error code.
std::string_view type_name(const ErrorParts& error) {
  return error.detail != nullptr && error.detail->shape != nullptr ? error.detail->shape->name
                                                                   : error.code;
}

void append_error_json(std::string& out, const ErrorParts& error, std::string_view type) {
  ErrorBody body = error_body(error);
  if (body.record) {
    append_record_json(out, *body.record, type);
    if (!body.extra_message) return;
    out.pop_back();
    if (!out.ends_with('{')) out += ',';
  } else {
    out += '{';
    if (!type.empty()) {
      out += "\"__type\":";
      append_json_string(out, type);
      out += body.extra_message ? "," : "";
    }
  }
  if (body.extra_message) {
    out += "\"message\":";
    append_json_string(out, error.message);
  }
  out += '}';
}

// <Type/><Code/><Message/> and the further members of the shape.
void append_error_xml(std::string& out, const ErrorParts& error, bool with_type) {
  if (with_type) append_element(out, "Type", error.sender_fault ? "Sender" : "Receiver");
  append_element(out, "Code", error.code);
  ErrorBody body = error_body(error);
  if (!error.message.empty()) append_element(out, "Message", error.message);
  if (!body.record) return;
  int message = message_member(*body.record->shape);
  if (message >= 0) {
    if (error.message.empty() && body.record->has(static_cast<std::size_t>(message))) {
      const auto* text = body.record->at(static_cast<std::size_t>(message)).get<std::string>();
      append_element(out, "Message", text == nullptr ? "" : *text);
    }
    body.record->at(static_cast<std::size_t>(message)) = Value();
  }
  append_members_xml(out, *body.record);
}

constexpr std::string_view declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

void encode_xml_error(const CodecOperation& operation, const ErrorParts& error,
                      std::string_view request_id, HttpResponseParts& response) {
  std::string& out = response.body;
  if (operation.protocol == Protocol::ec2) {
    content_type(response, "text/xml;charset=UTF-8");
    out += "<Response><Errors><Error>";
    append_error_xml(out, error, false);
    out += "</Error></Errors>";
    append_element(out, "RequestID", request_id);
    out += "</Response>";
    return;
  }
  content_type(response, operation.protocol == Protocol::query ? "text/xml" : "application/xml");
  if (operation.bare_xml_errors) {
    out += declaration;
    out += "<Error>";
    append_error_xml(out, error, false);
    if (!error.resource.empty()) append_element(out, "Resource", error.resource);
    append_element(out, "RequestId", request_id);
    append_element(out, "HostId", base64_encode(request_id));
    out += "</Error>";
    return;
  }
  open_root(out, "ErrorResponse", operation.xml_namespace);
  out += "<Error>";
  append_error_xml(out, error, true);
  out += "</Error>";
  append_element(out, "RequestId", request_id);
  out += "</ErrorResponse>";
}

void add_request_id(const CodecOperation& operation, HttpResponseParts& response,
                    std::string_view request_id) {
  if (request_id.empty()) return;
  if (operation.bare_xml_errors) {
    response.headers.emplace_back("x-amz-request-id", request_id);
    response.headers.emplace_back("x-amz-id-2", base64_encode(request_id));
    return;
  }
  response.headers.emplace_back("x-amzn-RequestId", request_id);
}

}  // namespace

Result<Record> decode_request(const CodecOperation& operation, const HttpRequestParts& request) {
  static const Shape nothing{.name = "Unit", .kind = ShapeKind::structure};
  if (operation.input == nullptr) return Record(nothing);
  auto record = decode_body(operation, request);
  if (!record) return std::unexpected(name_the_member(std::move(record).error()));
  return record;
}

HttpResponseParts encode_response(const CodecOperation& operation, const Record& output,
                                  std::string_view request_id) {
  HttpResponseParts response;
  response.status = operation.success_status;
  const Record* record = operation.output != nullptr && output.shape != nullptr ? &output : nullptr;
  switch (operation.protocol) {
    case Protocol::rest_json:
    case Protocol::rest_xml:
      if (record != nullptr) response = encode_rest(operation, output);
      if (operation.bare_xml_errors && response.body.starts_with('<')) {
        response.body.insert(0, declaration);
      }
      break;
    case Protocol::json:
      content_type(response, json_type(operation));
      if (record == nullptr) {
        response.body = "{}";
      } else {
        append_record_json(response.body, output);
      }
      break;
    case Protocol::query:
      content_type(response, "text/xml");
      append_form_answer(response.body, operation, record, request_id);
      break;
    case Protocol::ec2:
      content_type(response, "text/xml;charset=UTF-8");
      append_form_answer(response.body, operation, record, request_id);
      break;
    case Protocol::rpc_v2_cbor:
      response.headers.emplace_back("smithy-protocol", "rpc-v2-cbor");
      if (record == nullptr) break;
      content_type(response, "application/cbor");
      append_record_cbor(response.body, output);
      break;
  }
  if (response.status == 204) {  // RFC 9110: no content, and no type of it
    response.body.clear();
    std::erase_if(response.headers, [](const auto& h) { return iequals(h.first, "content-type"); });
  }
  add_request_id(operation, response, request_id);
  return response;
}

HttpResponseParts encode_error(const CodecOperation& operation, const ErrorParts& error,
                               std::string_view request_id) {
  HttpResponseParts response;
  response.status = error.http_status;
  ErrorBody body = error_body(error);
  switch (operation.protocol) {
    case Protocol::rest_json:
      if (body.record) encode_bound(*body.record, response);
      response.headers.emplace_back("x-amzn-ErrorType", type_name(error));
      content_type(response, "application/json");
      append_error_json(response.body, error, {});
      break;
    case Protocol::json:
      content_type(response, json_type(operation));
      append_error_json(response.body, error, type_name(error));
      break;
    case Protocol::rpc_v2_cbor: {
      response.headers.emplace_back("smithy-protocol", "rpc-v2-cbor");
      content_type(response, "application/cbor");
      static const Shape nothing{.name = "Unit", .kind = ShapeKind::structure};
      std::string message(error.message);
      append_record_cbor(response.body, body.record ? *body.record : Record(nothing),
                         type_name(error), body.extra_message ? &message : nullptr);
      break;
    }
    case Protocol::rest_xml:
      if (body.record) encode_bound(*body.record, response);
      [[fallthrough]];
    case Protocol::query:
    case Protocol::ec2: encode_xml_error(operation, error, request_id, response); break;
  }
  if (operation.query_compatible) {
    response.headers.emplace_back(
        "x-amzn-query-error",
        fmt::format("{};{}", error.code, error.sender_fault ? "Sender" : "Receiver"));
  }
  // The status is the error's own, whatever a member bound to it says.
  response.status = error.http_status;
  add_request_id(operation, response, request_id);
  return response;
}

}  // namespace mayfly::wire
