#include "front/object_store.h"

#include <array>

namespace mayfly::front {

StoreHost store_host(const std::vector<std::string>& labels) {
  StoreHost out;
  std::size_t mark = labels.size();
  for (std::size_t i = labels.size(); i-- > 0 && !out.named;) {
    if (labels[i] != "s3") continue;
    out.named = true;
    mark = i;
  }
  for (std::size_t i = 0; i < mark; ++i) {
    if (i > 0) out.bucket += '.';
    out.bucket += labels[i];
  }
  if (mark + 1 < labels.size()) out.region = labels.back();
  return out;
}

bool may_be_bucket_path(std::string_view path) {
  if (!path.starts_with('/')) return false;
  std::string_view name = path.substr(1, path.find('/', 1) - 1);
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  if (name.size() < 3 || name.size() > 63) return false;
  if (letters.find(name.front()) == letters.npos || letters.find(name.back()) == letters.npos) {
    return false;
  }
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == name.npos;
}

void adapt_fields(wire::FieldViews& fields, const wire::Pairs& query, bool presigned,
                  std::string& kept) {
  for (auto& [name, value] : fields) {
    if (!wire::iequals(name, "content-encoding")) continue;
    for (std::string_view part : wire::split(value, ',')) {
      if (wire::iequals(wire::trim(part), "aws-chunked")) continue;
      if (!kept.empty()) kept += ',';
      kept += wire::trim(part);
    }
    value = kept;
    if (kept.empty()) name = "x-amz-no-content-encoding";
    break;
  }
  if (!presigned) return;
  constexpr std::array<std::string_view, 7> of_signature{
      "x-amz-algorithm", "x-amz-credential", "x-amz-signature",     "x-amz-signedheaders",
      "x-amz-date",      "x-amz-expires",    "x-amz-security-token"};
  for (const auto& [name, value] : query) {
    if (!wire::istarts_with(name, "x-amz-")) continue;
    bool signs = std::ranges::any_of(of_signature, [&](auto& n) { return wire::iequals(name, n); });
    if (!signs) fields.emplace_back(name, value);
  }
}

api::ApiError store_decode_error(const api::Operation& operation, std::string message) {
  // "Member 'NAME' must be …"
  constexpr std::string_view opening = "Member '";
  std::string_view rest = message;
  if (rest.starts_with(opening)) rest.remove_prefix(opening.size());
  std::string_view name = rest.substr(0, rest.find_first_of(".['"));
  for (const auto& member : operation.input->members) {
    if (member.wire_name != name || member.location == wire::Location::body) continue;
    if (member.location == wire::Location::uri) {
      return {"InvalidURI", 400, "Couldn't parse the specified URI.", true, {}};
    }
    return {"InvalidArgument", 400, std::move(message), true, {}};
  }
  return {"MalformedXML",
          400,
          "The XML you provided was not well-formed or did not validate against our published "
          "schema",
          true,
          {}};
}

void name_as_store(api::ApiError& error) {
  struct Name {
    std::string_view ours;
    std::string_view code;
    int status;
    std::string_view message = {};  // empty: as it is
  };
  constexpr std::array<Name, 18> names{{
      {"AccessDeniedException", "AccessDenied", 403},
      {"AuthorizationQueryParametersError", "AuthorizationQueryParametersError", 400},
      {"BadRequestException", "IncompleteBody", 400},
      {"ExpiredToken", "ExpiredToken", 400, "The provided token has expired."},
      {"IncompleteSignature", "AuthorizationHeaderMalformed", 400},
      {"InternalFailure", "InternalError", 500,
       "We encountered an internal error. Please try again."},
      {"InvalidClientTokenId", "InvalidAccessKeyId", 403,
       "The AWS Access Key Id you provided does not exist in our records."},
      {"MalformedQueryString", "InvalidURI", 400, "Couldn't parse the specified URI."},
      {"MethodNotAllowedException", "MethodNotAllowed", 405,
       "The specified method is not allowed against this resource."},
      {"MissingAuthenticationToken", "AccessDenied", 403, "Access Denied"},
      {"NotImplementedException", "NotImplemented", 501},
      {"RequestExpired", "AccessDenied", 403, "Request has expired"},
      {"RequestTimeoutException", "RequestTimeout", 400},
      {"RequestTooLargeException", "MaxMessageLengthExceeded", 400, "Your request was too big."},
      {"ServiceUnavailableException", "SlowDown", 503, "Please reduce your request rate."},
      {"SignatureDoesNotMatch", "SignatureDoesNotMatch", 403},
      {"UnknownOperationException", "MethodNotAllowed", 405,
       "The specified method is not allowed against this resource."},
      {"ValidationError", "InvalidArgument", 400},
  }};
  for (const auto& name : names) {
    if (name.ours != error.code) continue;
    error.code = name.code;
    error.http_status = name.status;
    if (!name.message.empty()) error.message = name.message;
    return;
  }
}

}  // namespace mayfly::front
