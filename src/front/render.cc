#include "front/render.h"

#include "wire/json.h"

namespace mayfly::front {

using wire::Protocol;

namespace {

bool speaks_xml(Protocol protocol) {
  return protocol == Protocol::query || protocol == Protocol::ec2 || protocol == Protocol::rest_xml;
}

// The JSON services answer 400 where the REST ones answer 403 (observed of DynamoDB and Lambda).
int forbidden_status(Protocol protocol) {
  return protocol == Protocol::json || protocol == Protocol::rpc_v2_cbor ? 400 : 403;
}

}  // namespace

Response render_error(const wire::CodecOperation& codec, const api::ApiError& error,
                      std::string_view request_id, std::string_view path) {
  wire::ErrorParts parts{error.code,
                         error.message,
                         error.http_status,
                         error.sender_fault,
                         error.detail ? &*error.detail : nullptr,
                         path};
  auto encoded = wire::encode_error(codec, parts, request_id);
  for (const auto& field : error.headers) encoded.headers.push_back(field);
  return {encoded.status, std::move(encoded.headers), std::move(encoded.body)};
}

Response render_refusal(int status, std::string_view text) {
  auto body = fmt::format("{{\"message\":{}}}\n", wire::json_quoted(text));
  return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

api::ApiError authentication_error(const Error& error, Protocol protocol) {
  api::ApiError out{error.reason, 403, error.message, true, {}};
  if (speaks_xml(protocol)) {
    bool malformed = error.reason == "IncompleteSignature" ||
                     error.reason == "AuthorizationQueryParametersError" ||
                     error.reason == "RequestExpired";
    if (malformed) out.http_status = 400;
    return out;
  }
  struct Name {
    std::string_view query;
    std::string_view json;
  };
  constexpr std::array<Name, 7> names{{
      {"MissingAuthenticationToken", "MissingAuthenticationTokenException"},
      {"IncompleteSignature", "IncompleteSignatureException"},
      {"AuthorizationQueryParametersError", "IncompleteSignatureException"},
      {"SignatureDoesNotMatch", "InvalidSignatureException"},
      {"RequestExpired", "InvalidSignatureException"},
      {"InvalidClientTokenId", "UnrecognizedClientException"},
      {"ExpiredToken", "ExpiredTokenException"},
  }};
  for (const auto& name : names) {
    if (name.query == error.reason) out.code = name.json;
  }
  out.http_status = forbidden_status(protocol);
  return out;
}

api::ApiError denial(std::string message, Protocol protocol) {
  api::ApiError out = api::access_denied(std::move(message));
  if (speaks_xml(protocol)) out.code = "AccessDenied";
  out.http_status = forbidden_status(protocol);
  return out;
}

api::ApiError refused_body(const io::http1::Refusal& refusal, std::string_view operation,
                           std::size_t limit) {
  api::ApiError out{"BadRequestException", refusal.status, refusal.text, true, {}};
  if (refusal.status == 413) {
    out.code = "RequestTooLargeException";
    out.message = fmt::format("Request must be smaller than {} bytes for the {} operation", limit,
                              operation.empty() ? "requested" : operation);
  } else if (refusal.status == 503) {
    out.code = "ServiceUnavailableException";
    out.sender_fault = false;
  } else if (refusal.status == 408) {
    out.code = "RequestTimeoutException";
  }
  return out;
}

api::ApiError constraint_error(std::string message, const api::Operation& operation,
                               Protocol protocol) {
  api::ApiError out = api::validation(std::move(message));
  if (speaks_xml(protocol)) {
    out.code = "ValidationError";
    return out;
  }
  // CloudWatch Logs and its like know no ValidationException and say InvalidParameterException.
  auto declares = [&](std::string_view name) {
    return std::ranges::any_of(operation.errors,
                               [&](const wire::Shape* shape) { return shape->name == name; });
  };
  if (protocol == Protocol::json && declares("InvalidParameterException") &&
      !declares("ValidationException")) {
    out.code = "InvalidParameterException";
  }
  return out;
}

}  // namespace mayfly::front
