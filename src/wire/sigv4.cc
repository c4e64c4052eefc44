#include "wire/sigv4.h"

#include <algorithm>

#include "wire/hash.h"

namespace mayfly::wire::sigv4 {

namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view terminator = "aws4_request";

std::unexpected<Error> incomplete(std::string text) {
  return fail(ErrorKind::unauthenticated, std::move(text), "IncompleteSignature");
}

std::unexpected<Error> bad_query(std::string text) {
  return fail(ErrorKind::unauthenticated, std::move(text), "AuthorizationQueryParametersError");
}

std::string_view header(const Request& request, std::string_view lower_name) {
  for (const auto& [name, value] : request.headers) {
    if (name.size() == lower_name.size() && iequals(name, lower_name)) return value;
  }
  return {};
}

// KEY/DATE/REGION/SERVICE/aws4_request; a key may hold slashes, so it is read from the right.
bool read_credential(std::string_view text, Claim& claim) {
  std::array<std::string_view, 4> parts;
  for (std::size_t i = parts.size(); i-- > 0;) {
    std::size_t slash = text.rfind('/');
    if (slash == std::string_view::npos) return false;
    parts[i] = text.substr(slash + 1);
    text = text.substr(0, slash);
  }
  if (text.empty() || parts[3] != terminator) return false;
  claim.access_key_id = text;
  claim.scope.date = parts[0];
  claim.scope.region = parts[1];
  claim.scope.service = parts[2];
  return !parts[0].empty() && !parts[1].empty() && !parts[2].empty();
}

struct AuthorizationParts {
  std::string_view credential;
  std::string_view signed_headers;
  std::string_view signature;
};

AuthorizationParts split_authorization(std::string_view text) {
  AuthorizationParts out;
  text.remove_prefix(algorithm.size());
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    part = trim(part);
    std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) continue;
    std::string_view name = part.substr(0, equals);
    std::string_view value = part.substr(equals + 1);
    if (name == "Credential") out.credential = value;
    if (name == "SignedHeaders") out.signed_headers = value;
    if (name == "Signature") out.signature = value;
  }
  return out;
}

Result<> read_header_claim(const Request& request, std::string_view text, Claim& claim) {
  AuthorizationParts parts = split_authorization(text);
  claim.amz_date = header(request, "x-amz-date");
  if (claim.amz_date.empty()) {
    // A Date header in the basic ISO form may stand in for X-Amz-Date, an RFC 1123 one as well.
    std::string_view date = header(request, "date");
    auto parsed = parse_rfc822(date);
    claim.amz_date = date;
    if (parsed) {
      claim.kept = std::make_shared<Pairs>(Pairs{{"date", format_amz_date(*parsed)}});
      claim.amz_date = claim.kept->front().second;
    }
  }
  std::string missing;
  if (parts.credential.empty()) {
    missing += "Authorization header requires 'Credential' parameter. ";
  }
  if (parts.signature.empty()) missing += "Authorization header requires 'Signature' parameter. ";
  if (parts.signed_headers.empty()) {
    missing += "Authorization header requires 'SignedHeaders' parameter. ";
  }
  if (claim.amz_date.empty()) {
    missing +=
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
  }
  if (!missing.empty()) return incomplete(missing + "Authorization=" + std::string(text));
  if (!read_credential(parts.credential, claim)) {
    return incomplete(
        fmt::format("Credential must have exactly 5 slash-delimited elements, e.g. "
                    "keyid/date/region/service/term, got '{}'",
                    parts.credential));
  }
  claim.signed_headers = parts.signed_headers;
  claim.signature = parts.signature;
  claim.security_token = header(request, "x-amz-security-token");
  return {};
}

Result<Claim> query_claim(std::shared_ptr<const Pairs> kept) {
  const Pairs& query = *kept;
  auto get = [&](std::string_view name) {
    const std::string* value = find_pair_nocase(query, name);
    return value != nullptr ? std::string_view(*value) : std::string_view();
  };
  if (get("X-Amz-Algorithm") != algorithm) {
    return bad_query("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
  }
  for (std::string_view name : {"X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders",
                                "X-Amz-Date", "X-Amz-Expires"}) {
    if (get(name).empty()) {
      return bad_query(
          "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
          "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
    }
  }
  Claim claim;
  claim.presigned = true;
  if (!read_credential(get("X-Amz-Credential"), claim)) {
    return bad_query(
        "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "
        "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".");
  }
  auto expires = parse_int(get("X-Amz-Expires"));
  if (!expires) return bad_query("X-Amz-Expires should be a number");
  if (*expires < 0) return bad_query("X-Amz-Expires must be non-negative");
  if (*expires > 604'800) {
    return bad_query(
        "X-Amz-Expires must be less than a week (in seconds); that is, the given "
        "X-Amz-Expires must be less than 604800 seconds");
  }
  claim.expires_seconds = *expires;
  claim.amz_date = get("X-Amz-Date");
  claim.signed_headers = get("X-Amz-SignedHeaders");
  claim.signature = get("X-Amz-Signature");
  claim.security_token = get("X-Amz-Security-Token");
  claim.kept = std::move(kept);
  return claim;
}

void append_canonical_value(std::string& out, std::string_view value) {
  value = trim(value);
  bool blank = false;
  for (char c : value) {
    bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!is_blank) {
      if (blank) out += ' ';
      out += c;
    }
    blank = is_blank;
  }
}

std::string normalize_path(std::string_view path) {
  std::vector<std::string_view> kept;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!kept.empty()) kept.pop_back();
      continue;
    }
    kept.push_back(part);
  }
  std::string out;
  for (std::string_view part : kept) {
    out += '/';
    out += part;
  }
  bool ends_open = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  if (out.empty() || ends_open) out += '/';
  return out;
}

// One encoding, whatever escapes the wire used.
std::string reencode(std::string_view text, Slash slash) {
  auto plain = percent_decode(text);
  return percent_encode(plain ? *plain : std::string(text), slash);
}

}  // namespace

PathRule path_rule(std::string_view service) {
  return service == "s3" || service == "s3-object-lambda" ? s3_path : PathRule{};
}

std::string Scope::text() const {
  return fmt::format("{}/{}/{}/{}", date, region, service, terminator);
}

std::vector<std::string> Claim::signed_names() const {
  std::vector<std::string> out;
  out.reserve(static_cast<std::size_t>(std::ranges::count(signed_headers, ';')) + 1);
  for (std::string_view rest = signed_headers; !rest.empty();) {
    std::string_view name = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (!name.empty()) out.push_back(to_lower(name));
  }
  return out;
}

std::optional<Claim> peek_claim(const Request& request) {
  Claim claim;
  std::string_view text = header(request, "authorization");
  if (text.starts_with(algorithm)) {
    if (read_credential(split_authorization(text).credential, claim)) return claim;
    return std::nullopt;
  }
  if (request.query.find("X-Amz-Credential=") == std::string_view::npos) return std::nullopt;
  auto query = parse_query(request.query, Plus::literal);
  if (!query) return std::nullopt;
  claim.kept = std::make_shared<Pairs>(*std::move(query));
  const std::string* credential = find_pair(*claim.kept, "X-Amz-Credential");
  claim.presigned = true;
  if (credential == nullptr || !read_credential(*credential, claim)) return std::nullopt;
  return claim;
}

Result<std::optional<Claim>> parse_claim(const Request& request) {
  std::string_view text = header(request, "authorization");
  if (text.starts_with(algorithm)) {
    Result<std::optional<Claim>> out(std::in_place, std::in_place);
    if (auto read = read_header_claim(request, text, **out); !read) {
      out = std::unexpected(std::move(read).error());
    }
    return out;
  }
  if (request.query.find("X-Amz-") == std::string_view::npos) return std::nullopt;
  auto query = parse_query(request.query, Plus::literal);
  if (!query) return bad_query("the query holds a malformed percent escape");
  if (find_pair_nocase(*query, "X-Amz-Signature") == nullptr &&
      find_pair_nocase(*query, "X-Amz-Credential") == nullptr) {
    return std::nullopt;
  }
  TRY_ASSIGN(auto claim, query_claim(std::make_shared<Pairs>(*std::move(query))));
  return claim;
}

std::string canonical_path(std::string_view path, PathRule rule) {
  std::string normalized;
  if (rule.normalize) {
    normalized = normalize_path(path);
    path = normalized;
  }
  if (path.empty()) return "/";
  return rule.encode_again ? percent_encode(path, Slash::keep) : reencode(path, Slash::keep);
}

std::string canonical_query(std::string_view query) {
  if (query.empty()) return {};
  std::vector<std::pair<std::string, std::string>> parts;
  for (std::string_view part : split(query, '&')) {
    if (part.empty()) continue;
    std::size_t equals = part.find('=');
    std::string name = reencode(part.substr(0, equals), Slash::encode);
    if (name == "X-Amz-Signature") continue;
    std::string value = equals == std::string_view::npos
                            ? std::string()
                            : reencode(part.substr(equals + 1), Slash::encode);
    parts.emplace_back(std::move(name), std::move(value));
  }
  std::ranges::sort(parts);
  std::string out;
  for (const auto& [name, value] : parts) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

std::string canonical_request(const Request& request, std::span<const std::string> signed_headers,
                              std::string_view payload_hash, PathRule rule) {
  std::string out;
  out.reserve(1024);
  out += request.method;
  out += '\n';
  out += canonical_path(request.path, rule);
  out += '\n';
  out += canonical_query(request.query);
  out += '\n';
  std::string names;
  for (const auto& name : signed_headers) {
    if (!names.empty()) names += ';';
    names += name;
    out += name;
    char separator = ':';
    for (const auto& [given, value] : request.headers) {
      if (!iequals(given, name)) continue;
      out += separator;
      append_canonical_value(out, value);
      separator = ',';
    }
    if (separator == ':') out += ':';
    out += '\n';
  }
  out += '\n';
  out += names;
  out += '\n';
  out += payload_hash;
  return out;
}

std::string string_to_sign(std::string_view amz_date, const Scope& scope,
                           std::string_view canonical_request) {
  return fmt::format("{}\n{}\n{}\n{}", algorithm, amz_date, scope.text(),
                     sha256_hex(canonical_request));
}

std::string signing_key(std::string_view secret, const Scope& scope) {
  std::string key = hmac_sha256("AWS4" + std::string(secret), scope.date);
  key = hmac_sha256(key, scope.region);
  key = hmac_sha256(key, scope.service);
  return hmac_sha256(key, terminator);
}

std::string signature(std::string_view signing_key, std::string_view string_to_sign) {
  return hex_encode(hmac_sha256(signing_key, string_to_sign));
}

std::string authorization(const Request& request, std::string_view access_key_id,
                          std::string_view secret, const Scope& scope, std::string_view amz_date,
                          std::string_view payload_hash) {
  std::vector<std::string> names;
  for (const auto& [name, value] : request.headers) names.push_back(to_lower(name));
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  std::string canonical = canonical_request(request, names, payload_hash, path_rule(scope.service));
  std::string signed_with =
      signature(signing_key(secret, scope), string_to_sign(amz_date, scope, canonical));
  return fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", algorithm,
                     access_key_id, scope.text(), fmt::join(names, ";"), signed_with);
}

}  // namespace mayfly::wire::sigv4
