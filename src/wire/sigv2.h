// AWS Signature Version 2 in a query, as SDKs still presign URLs of the object store with
// ("AWSAccessKeyId=…&Signature=…&Expires=…"; boto3 does in us-east-1 where nothing else is
// configured). Pure functions. Source: S3 API reference, "Signing and authenticating REST
// requests".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wire/sigv4.h"

namespace mayfly::wire::sigv2 {

// Views into `kept`, the query without its escapes.
struct Claim {
  std::string_view access_key_id;
  std::string_view signature;  // base64
  std::string_view security_token;
  std::int64_t expires_at = 0;  // seconds of the epoch
  std::shared_ptr<const Pairs> kept;
};

// nullopt where it is not signed like this.
std::optional<Claim> parse_claim(const sigv4::Request& request);

// `request.path` is the resource: "/BUCKET/KEY", wherever the bucket was named. The host is not
// signed.
std::string string_to_sign(const sigv4::Request& request, const Claim& claim);
std::string signature(std::string_view secret, std::string_view string_to_sign);

}  // namespace mayfly::wire::sigv2
