// AWS Signature Version 4 as text: what was signed, the string to sign, the key, the signature.
// Pure functions; guard/ decides with them, the command line and tests sign with them.
// Source: AWS "Create a signed request" and, for bodies in signed chunks, the Amazon S3 API
// reference "Signature calculations ... multiple chunks".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "wire/text.h"

namespace mayfly::wire::sigv4 {

using HeaderView = std::pair<std::string_view, std::string_view>;

// A request as it is on the wire.
struct Request {
  std::string_view method;
  std::string_view path;   // raw, without the query
  std::string_view query;  // raw, without '?'
  std::span<const HeaderView> headers;
};

// S3 signs the path encoded once and as it is; every other service signs the normalised path with
// the wire's escapes encoded once more.
struct PathRule {
  bool normalize = true;
  bool encode_again = true;
};
inline constexpr PathRule s3_path{false, false};
PathRule path_rule(std::string_view service);

// KEY/20150830/us-east-1/service/aws4_request
struct Scope {
  std::string date;
  std::string region;
  std::string service;
  std::string text() const;  // from the date on
};

// What an Authorization header or a presigned query says, not yet checked against anything. Views
// into the request, and into `kept` what is not on the wire as it is read.
struct Claim {
  bool presigned = false;
  std::string_view access_key_id;
  Scope scope;
  std::string_view amz_date;        // "20150830T123600Z"
  std::string_view signed_headers;  // "host;x-amz-date"
  std::string_view signature;
  std::string_view security_token;
  std::int64_t expires_seconds = 0;   // presigned
  std::shared_ptr<const Pairs> kept;  // the query without escapes, a date in the form above

  std::vector<std::string> signed_names() const;  // lower case, in the order given
};

// nullopt for a request that is not signed with SigV4. Errors: kind unauthenticated, the cloud's
// code in Error::reason (IncompleteSignature, AuthorizationQueryParametersError).
Result<std::optional<Claim>> parse_claim(const Request& request);
// Cheap: KEY and scope alone, for routing; nullopt where there is none or it is malformed.
std::optional<Claim> peek_claim(const Request& request);

std::string canonical_path(std::string_view path, PathRule rule);
std::string canonical_query(std::string_view query);
std::string canonical_request(const Request& request, std::span<const std::string> signed_headers,
                              std::string_view payload_hash, PathRule rule);
std::string string_to_sign(std::string_view amz_date, const Scope& scope,
                           std::string_view canonical_request);
std::string signing_key(std::string_view secret, const Scope& scope);
std::string signature(std::string_view signing_key, std::string_view string_to_sign);

inline constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";
inline constexpr std::string_view empty_sha256 =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// The Authorization value for a request whose headers (all are signed) hold Host and X-Amz-Date.
std::string authorization(const Request& request, std::string_view access_key_id,
                          std::string_view secret, const Scope& scope, std::string_view amz_date,
                          std::string_view payload_hash);

// Bodies in aws-chunked encoding:
//   hex-size [;chunk-signature=64 hex] CRLF  data CRLF   (repeated, size 0 ends)
//   [name:value CRLF]*  [x-amz-trailer-signature:64 hex CRLF]  CRLF
enum class Streaming : std::uint8_t { none, signed_chunks, signed_with_trailer, unsigned_trailer };
// Of the value of X-Amz-Content-Sha256.
Streaming streaming_kind(std::string_view content_sha256);

class ChunkDecoder {
 public:
  // Signed kinds: every chunk's signature continues the one before it, from the request's own.
  struct Signing {
    std::string key;
    std::string amz_date;
    std::string scope;
    std::string seed_signature;
  };
  ChunkDecoder(Streaming kind, Signing signing);
  // Takes all of `bytes`; appends what is decoded (and, where signed, verified) to `out`.
  Result<> feed(std::string_view bytes, std::string& out);
  bool complete() const { return state_ == State::done; }
  const Pairs& trailers() const { return trailers_; }

 private:
  enum class State : std::uint8_t { head, data, data_end, trailer, done };
  Result<> on_head(std::string_view line);
  Result<> on_trailer(std::string_view line);
  Result<> end_chunk(std::string& out);
  Result<> check(std::string_view string_to_sign, std::string_view given);
  bool is_signed() const { return kind_ != Streaming::unsigned_trailer; }

  Streaming kind_;
  Signing signing_;
  State state_ = State::head;
  std::string line_;
  std::string chunk_;
  std::string given_;
  std::uint64_t missing_ = 0;
  std::uint64_t size_ = 0;
  std::string trailer_text_;
  bool trailer_signed_ = false;
  Pairs trailers_;
};

}  // namespace mayfly::wire::sigv4
