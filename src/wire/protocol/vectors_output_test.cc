#include <doctest/doctest.h>

#include <pugixml.hpp>

#include "wire/protocol/parts.h"
#include "wire/protocol/vectors.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

struct ClientOnly {
  std::string_view part;  // of the names of such cases
  std::string_view reason;
};

// Cases about what a client's parser must put up with: a server writes one form of each. Every case
// left out is printed by its name, and counted apart.
constexpr ClientOnly client_only[] = {
    {"DateTimeWithNegativeOffset", "we write times in UTC"},
    {"DateTimeWithPositiveOffset", "we write times in UTC"},
    {"FooErrorUsingCode", "we name the type in one way"},
    {"RestJsonFooErrorWithDunderType", "rest-json names the type in a header"},
    {"AwsJson11FooErrorUsingXAmznErrorType", "json names the type in the body"},
    {"AwsJson10FooErrorUsingXAmznErrorType", "json names the type in the body"},
    {"DeserializeIgnoreType", "we write no __type in unions"},
    {"handles_unexpected_json_output", "we write no members that the model does not know"},
    {"HandlesUnexpectedJsonOutput", "we write no members that the model does not know"},
    {"InvalidGreetingError.rest-xml", "we write no members that the model does not know"},
    {"IgnoreQueryParamsInResponse.rest-xml", "we write no members of the request alone"},
    {"ComplexError.rest-xml", "its message stands in the response only"},
    {"Ec2ComplexError", "its message stands in the response only"},
    {"QueryEmptyInputAndEmptyOutput.query", "we always send the envelope"},
    {"QueryNoInputAndNoOutput.query", "we always send the envelope"},
    {"QueryNoInputAndOutput.query", "we always send the envelope"},
    {"QueryXmlNamespaces.query", "we write a nested structure's namespace, readers ignore it"},
    {"Ec2XmlNamespaces", "we write a nested structure's namespace, readers ignore it"},
};

std::string reason_of(std::string_view id, std::string_view file) {
  std::string name = fmt::format("{}.{}", id, file);
  for (const ClientOnly& row : client_only) {
    if (name.contains(row.part)) return std::string(row.reason);
  }
  return {};
}

std::string bare_type(std::string_view text) {
  text = text.substr(0, text.find(':'));
  return std::string(text.substr(text.find('#') + 1));
}

// A server leaves out what is null, and writes the bare name of a type.
Json plain(const Json& json) {
  if (const auto* items = json.as<JsonArray>()) {
    JsonArray out;
    for (const Json& item : *items) out.push_back(plain(item));
    return out;
  }
  const auto* members = json.as<JsonObject>();
  if (members == nullptr) return json;
  JsonObject out;
  for (const auto& [key, value] : *members) {
    if (value.is_null()) continue;
    std::string_view text = value.string_value();
    out.add(key, key == "__type" ? Json(bare_type(text)) : plain(value));
  }
  return out;
}

std::string text_of(const pugi::xml_node& node) {
  std::string text;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata)
      text += child.value();
  }
  return trim(text).empty() && text.contains('\n') ? std::string() : text;
}

// Canonical form: attributes and children by name, children of one name in their order; the order
// between names, blanks between elements and the request id do not matter.
void canonical_xml(const pugi::xml_node& node, bool root, std::string& out) {
  std::map<std::string, std::string> parts;
  for (const pugi::xml_attribute& attribute : node.attributes()) {
    std::string_view name = attribute.name();
    if (root && name.starts_with("xmlns")) continue;  // the service's, not in the vectors
    if (name.starts_with("xmlns:xsi")) continue;
    parts[fmt::format("@{}", name)] = attribute.value();
  }
  bool leaf = true;
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    leaf = false;
    if (iequals(child.name(), "requestid")) continue;
    if (std::string_view(child.name()) == "ResponseMetadata") continue;
    canonical_xml(child, false, parts[child.name()]);
  }
  out += root ? "<root" : fmt::format("<{}", node.name());
  for (const auto& [name, text] : parts) {
    if (name[0] == '@') out += fmt::format(" {}='{}'", name, text);
  }
  out += '>';
  if (leaf) out += text_of(node);
  for (const auto& [name, text] : parts) {
    if (name[0] != '@') out += text;
  }
  out += "</>";
}

std::string canonical_xml(std::string_view body) {
  pugi::xml_document document;
  auto parsed = document.load_buffer(body.data(), body.size(),
                                     pugi::parse_default | pugi::parse_ws_pcdata_single);
  if (!parsed) return fmt::format("not XML: {}", parsed.description());
  std::string out;
  canonical_xml(document.document_element(), true, out);
  return out;
}

std::string canonical_cbor(const Shape* shape, std::string_view body) {
  static const Shape nothing{.name = "Unit", .kind = ShapeKind::structure};
  auto record = protocol::decode_cbor_body(shape == nullptr ? nothing : *shape, body);
  return record ? vectors::json_of(*record).dump() : record.error().message;
}

bool structured(const Shape* shape) {
  if (shape == nullptr || shape->payload < 0) return true;
  auto kind = shape->members[static_cast<std::size_t>(shape->payload)].shape->kind;
  return kind != ShapeKind::blob && kind != ShapeKind::string;
}

std::string compare_bodies(const CodecOperation& operation, const Shape* shape,
                           std::string_view ours, std::string_view theirs) {
  auto differ = [](std::string_view a, std::string_view b) {
    return a == b ? std::string() : fmt::format("body {} instead of {}", a, b);
  };
  if (!structured(shape)) return differ(ours, theirs);
  switch (operation.protocol) {
    case Protocol::rest_json:
    case Protocol::json: {
      // No body and an empty object say the same.
      auto our_json = parse_json(ours.empty() ? "{}" : ours);
      auto their_json = parse_json(trim(theirs).empty() ? "{}" : theirs);
      if (!our_json || !their_json) return fmt::format("not JSON: {}", ours);
      Json wanted = plain(*their_json);
      return *our_json == wanted ? "" : differ(our_json->dump(), wanted.dump());
    }
    case Protocol::rpc_v2_cbor:
      return differ(canonical_cbor(shape, ours), canonical_cbor(shape, theirs));
    default: break;
  }
  if (trim(theirs).empty() || ours.empty()) {
    return differ(ours, trim(theirs));
  }
  return differ(canonical_xml(ours), canonical_xml(theirs));
}

std::string compare_heads(const HttpResponseParts& ours, const Json& theirs) {
  if (ours.status != theirs.int_or("status_code", 200)) {
    return fmt::format("status {}", ours.status);
  }
  const Json* headers = theirs.find("headers");
  if (headers == nullptr) return {};
  for (const auto& [name, value] : *headers->as<JsonObject>()) {
    const std::string* found = find_pair_nocase(ours.headers, name);
    std::string_view wanted = value.string_value();
    if (iequals(name, "content-length")) continue;  // front/ writes it
    if (iequals(name, "x-amz-target")) continue;    // a request's header
    bool type = iequals(name, "content-type");
    if (type && found == nullptr && ours.body.empty()) continue;
    if (found == nullptr) return fmt::format("no header {}", name);
    std::string_view got = *found;
    if (iequals(name, "x-amzn-errortype") && got == bare_type(wanted)) continue;
    if (type) {
      got = got.substr(0, got.find(';'));
      wanted = wanted.substr(0, wanted.find(';'));
    }
    if (got != wanted) return fmt::format("header {}: {} instead of {}", name, got, wanted);
  }
  return {};
}

const Shape* error_shape(vectors::Model& model, const Json& test) {
  for (const Json& error : *test.at({"given", "errors"})->as<JsonArray>()) {
    const Shape* shape = model.shape(error.string_or("shape"));
    if (shape->error_code == test.string_or("errorCode")) return shape;
    if (shape->name == test.string_or("errorCode")) return shape;
  }
  return nullptr;
}

std::string judge(vectors::Model& model, const Json& test) {
  CodecOperation operation = model.operation(*test.find("given"));
  const Json& response = *test.find("response");
  static const Shape nothing{.name = "Unit", .kind = ShapeKind::structure};
  const Shape* shape = operation.output;
  HttpResponseParts ours;
  const Json* id = response.at({"headers", "X-Amzn-Requestid"});
  std::string request_id(id == nullptr ? "requestid" : id->string_value());
  if (test.find("errorCode") != nullptr) {
    shape = error_shape(model, test);
    if (shape == nullptr) return "no such error shape";
    Value detail = vectors::value_of(*shape, *test.find("error"));
    // The message travels in the record where the shape has a place for it.
    bool apart = protocol::message_member(*shape) < 0;
    ErrorParts parts{.code = test.string_or("errorCode"),
                     .message = apart ? test.string_or("errorMessage") : "",
                     .http_status = static_cast<int>(response.int_or("status_code", 0)),
                     .detail = detail.get<Record>()};
    ours = encode_error(operation, parts, request_id);
  } else {
    Value output = vectors::value_of(shape ? *shape : nothing, *test.find("result"));
    ours = encode_response(operation, *output.get<Record>(), request_id);
  }
  std::string problem = compare_heads(ours, response);
  if (!problem.empty()) return problem;
  std::string body(response.string_or("body"));
  if (operation.protocol == Protocol::rpc_v2_cbor) body = base64_decode(body).value();
  return compare_bodies(operation, shape, ours.body, body);
}

void run(std::string_view name) {
  auto suites = vectors::load("output", name);
  if (!suites) {
    MESSAGE("SKIPPED: protocol vectors output/" << std::string(name) << ": no folder \""
                                                << vectors::folder() << '"');
    return;
  }
  int passed = 0, cases = 0, apart = 0;
  for (const Json& suite : *suites->as<JsonArray>()) {
    vectors::Model model(suite);
    for (const Json& test : *suite.find("cases")->as<JsonArray>()) {
      std::string id(test.string_or("id"));
      if (std::string reason = reason_of(id, name); !reason.empty()) {
        ++apart;
        MESSAGE("client only: " << id << ": " << reason);
        continue;
      }
      ++cases;
      std::string problem = judge(model, test);
      if (problem.empty()) ++passed;
      CHECK_MESSAGE(problem.empty(), id << ": " << problem);
    }
  }
  MESSAGE("protocol vectors output/" << std::string(name) << ": " << passed << " of " << cases
                                     << " pass, " << apart << " judge clients only");
}

}  // namespace

TEST_CASE("results of the protocol vectors encode to their responses") {
  for (std::string_view name :
       {"rest-json", "rest-xml", "json", "json_1_0", "json_1_0-query-compatible", "query", "ec2",
        "smithy-rpc-v2-cbor", "smithy-rpc-v2-cbor-query-compatible"}) {
    run(name);
  }
}
