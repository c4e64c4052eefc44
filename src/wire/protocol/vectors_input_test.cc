#include <doctest/doctest.h>

#include "wire/protocol/vectors.h"
#include "wire/route.h"

using namespace mayfly;
using namespace mayfly::wire;

namespace {

// Cases that judge a client alone; each is named here with the reason and counted apart.
const std::map<std::string_view, std::string_view> client_only = {
    {"RestJsonHostWithPath", "a path in front of the service's own is the client's endpoint"},
    {"RestXmlHostWithPath", "a path in front of the service's own is the client's endpoint"},
    {"RestJsonQueryParamsStringListMap", "servers put all parameters in the map, bound ones too"},
    {"RestJsonHttpWithEmptyStructurePayload", "clients write an absent structure as {}"},
    {"RestJsonHttpWithHeadersButNoPayload", "clients write an absent structure as {}"},
    {"RestJsonQueryPrecedence", "a value that the client drops cannot come back"},
    {"RestXmlQueryPrecedence", "a value that the client drops cannot come back"},
};

// What no request can tell from absent: nulls anywhere, and empty lists and maps that the protocol
// has no way to write.
Json without_unsent(const Shape& shape, const Json& params, Protocol protocol) {
  JsonObject out;
  for (const Member& member : shape.members) {
    const Json* value = params.find(member.name);
    bool document = member.shape->kind == ShapeKind::document;
    if (value == nullptr || (value->is_null() && !document)) {
      if (member.idempotency_token) {
        out.add(std::string(member.name), "00000000-0000-4000-8000-000000000000");
      }
      continue;
    }
    bool container = (value->is_array() && value->as<JsonArray>()->empty()) ||
                     (value->is_object() && value->as<JsonObject>()->empty() &&
                      member.shape->kind == ShapeKind::map);
    bool form_map = protocol == Protocol::query && member.shape->kind == ShapeKind::map;
    bool travels = member.location == Location::body && protocol != Protocol::ec2 && !form_map &&
                   !member.flattened;
    if (container && !travels && !document) continue;
    out.add(std::string(member.name), *value);
  }
  return out;
}

// The request of a case as front/ would hand it over; an empty text is no error.
std::string request_of(const Json& test, HttpRequestParts& request, std::string& raw_body) {
  const Json& serialized = *test.find("serialized");
  request.method = serialized.string_or("method");
  std::string_view uri = serialized.string_or("uri");
  auto mark = uri.find('?');
  request.path = uri.substr(0, mark);
  if (mark != uri.npos) {
    auto query = parse_query(uri.substr(mark + 1));
    if (!query) return query.error().message;
    request.query = *std::move(query);
  }
  if (const Json* headers = serialized.find("headers")) {
    for (const auto& [name, value] : *headers->as<JsonObject>()) {
      request.headers.emplace_back(name, value.string_value());
    }
  }
  raw_body = serialized.string_or("body");
  const Json* protocol_header = serialized.at({"headers", "smithy-protocol"});
  if (protocol_header != nullptr) {
    auto bytes = base64_decode(raw_body);
    if (!bytes) return bytes.error().message;
    raw_body = *std::move(bytes);
  }
  request.body = raw_body;
  const Json& http = *test.at({"given", "http"});
  Route route{http.string_or("method"), http.string_or("requestUri")};
  auto table = RouteTable::build(std::span(&route, 1));
  if (!table) return table.error().message;
  auto match = table->match(request.method, request.path, request.query);
  if (!match) return fmt::format("{} {} does not match {}", request.method, uri, route.uri);
  request.labels = std::move(match->labels);
  return {};
}

std::string judge(vectors::Model& model, const Json& test) {
  CodecOperation operation = model.operation(*test.find("given"));
  HttpRequestParts request;
  std::string body;
  bool rest = operation.protocol == Protocol::rest_json || operation.protocol == Protocol::rest_xml;
  std::string problem = request_of(test, request, body);
  // Only REST operations are told apart by their path.
  if (!problem.empty() && rest) return problem;
  auto record = decode_request(operation, request);
  if (!record) return record.error().message;
  Json got = vectors::json_of(*record);
  if (operation.input == nullptr) return got == Json(JsonObject()) ? "" : "input out of nothing";
  got = without_unsent(*operation.input, got, operation.protocol);
  Json wanted = without_unsent(*operation.input, *test.find("params"), operation.protocol);
  // Both sides through the shape: one notation for every kind.
  wanted = vectors::json_of(vectors::value_of(*operation.input, wanted));
  if (got == wanted) return {};
  return fmt::format("decoded {} instead of {}", got.dump(), wanted.dump());
}

void run(std::string_view name) {
  auto suites = vectors::load("input", name);
  if (!suites) {
    MESSAGE("SKIPPED: protocol vectors input/" << std::string(name) << ": no folder \""
                                               << vectors::folder() << '"');
    return;
  }
  int passed = 0, cases = 0, apart = 0;
  for (const Json& suite : *suites->as<JsonArray>()) {
    vectors::Model model(suite);
    for (const Json& test : *suite.find("cases")->as<JsonArray>()) {
      std::string id(test.string_or("id"));
      bool gzip = test.at({"serialized", "headers", "Content-Encoding"}) != nullptr &&
                  test.at({"serialized", "body"}) == nullptr;
      auto reason = client_only.find(id);
      if (gzip || reason != client_only.end()) {
        ++apart;
        MESSAGE("client only: " << id << ": "
                                << (gzip ? "no body is given" : std::string(reason->second)));
        continue;
      }
      ++cases;
      std::string problem = judge(model, test);
      if (problem.empty()) ++passed;
      CHECK_MESSAGE(problem.empty(), id << ": " << problem);
    }
  }
  MESSAGE("protocol vectors input/" << std::string(name) << ": " << passed << " of " << cases
                                    << " pass, " << apart << " judge clients only");
}

}  // namespace

TEST_CASE("requests of the protocol vectors decode to their parameters") {
  for (std::string_view name :
       {"rest-json", "rest-xml", "json", "json_1_0", "json_1_0-query-compatible", "query", "ec2",
        "smithy-rpc-v2-cbor", "smithy-rpc-v2-cbor-query-compatible",
        "smithy-rpc-v2-cbor-non-query-compatible"}) {
    run(name);
  }
}
