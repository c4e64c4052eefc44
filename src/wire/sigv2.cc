#include "wire/sigv2.h"

#include <algorithm>
#include <array>
#include <map>

#include "wire/hash.h"

namespace mayfly::wire::sigv2 {

namespace {

// Parameters that name what of an object or a bucket is meant, and so belong to the resource.
constexpr std::array<std::string_view, 31> of_resource{
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "encryption",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
};

// A field may travel in the query instead.
std::string_view field(const sigv4::Request& request, const Claim& claim, std::string_view name) {
  for (const auto& [given, value] : request.headers) {
    if (iequals(given, name)) return trim(value);
  }
  const std::string* value = find_pair_nocase(*claim.kept, name);
  return value == nullptr ? std::string_view() : std::string_view(*value);
}

}  // namespace

std::optional<Claim> parse_claim(const sigv4::Request& request) {
  if (request.query.find("AWSAccessKeyId=") == std::string_view::npos) return std::nullopt;
  auto query = parse_query(request.query, Plus::literal);
  if (!query) return std::nullopt;
  Claim claim;
  claim.kept = std::make_shared<Pairs>(*std::move(query));
  // Services of the query protocol had parameters of these names too.
  if (find_pair(*claim.kept, "SignatureVersion") != nullptr) return std::nullopt;
  const std::string* key = find_pair(*claim.kept, "AWSAccessKeyId");
  const std::string* signature = find_pair(*claim.kept, "Signature");
  const std::string* expires = find_pair(*claim.kept, "Expires");
  if (key == nullptr || signature == nullptr || expires == nullptr) return std::nullopt;
  auto at = parse_int(*expires);
  if (!at) return std::nullopt;
  claim.access_key_id = *key;
  claim.signature = *signature;
  claim.expires_at = *at;
  claim.security_token = field(request, claim, "x-amz-security-token");
  return claim;
}

std::string string_to_sign(const sigv4::Request& request, const Claim& claim) {
  std::map<std::string, std::string> fields;
  auto add = [&](std::string_view name, std::string_view value) {
    if (!istarts_with(name, "x-amz-")) return;
    std::string& all = fields[to_lower(name)];
    if (!all.empty()) all += ',';
    all += trim(value);
  };
  for (const auto& [name, value] : request.headers) add(name, value);
  for (const auto& [name, value] : *claim.kept) {
    bool sent = std::ranges::any_of(
        request.headers, [&](const auto& header) { return iequals(header.first, name); });
    if (!sent) add(name, value);
  }
  std::string out =
      fmt::format("{}\n{}\n{}\n{}\n", request.method, field(request, claim, "content-md5"),
                  field(request, claim, "content-type"), claim.expires_at);
  for (const auto& [name, value] : fields) out += fmt::format("{}:{}\n", name, value);
  out += request.path;
  Pairs named;
  for (const auto& pair : *claim.kept) {
    if (std::ranges::find(of_resource, pair.first) != of_resource.end()) named.push_back(pair);
  }
  std::ranges::sort(named);
  char separator = '?';
  for (const auto& [name, value] : named) {
    out += separator + name;
    if (!value.empty()) out += '=' + value;
    separator = '&';
  }
  return out;
}

std::string signature(std::string_view secret, std::string_view string_to_sign) {
  return base64_encode(hmac_sha1(secret, string_to_sign));
}

}  // namespace mayfly::wire::sigv2
