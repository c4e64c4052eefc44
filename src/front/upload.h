// Upload: the payload of one streamed request on its way from the connection to the handler that
// reads it: out of its aws-chunked encoding, compared with what its client declared of it.
//
// Made by the pipeline for one call, owned by its api::Call; the exchange outlives it. Loop thread.
#pragma once

#include "api/operation.h"
#include "front/exchange.h"
#include "wire/hash.h"
#include "wire/sigv4.h"

namespace mayfly::front {

// What a request's head says of its payload.
struct UploadForm {
  std::optional<std::uint64_t> size = {};  // decoded
  std::string sha256 = {};                 // lower-case hex; empty: none is declared
  wire::sigv4::Streaming encoding = wire::sigv4::Streaming::none;
  // With signed chunks; empty: nobody's signature is checked.
  std::optional<wire::sigv4::ChunkDecoder::Signing> signing = {};
};

// From the fields of a head, by the rules of S3 (API reference, "PutObject" and "Signature
// calculations … multiple chunks"). Errors: MissingContentLength, InvalidArgument, NotImplemented.
std::expected<UploadForm, api::ApiError> upload_form(const io::http1::Head& head);

class Upload final : public api::Upload {
 public:
  Upload(Exchange& exchange, UploadForm form);

  // Errors: IncompleteBody, RequestTimeout, SlowDown, SignatureDoesNotMatch and
  // XAmzContentSHA256Mismatch in Error::reason.
  io::Task<Result<std::string>> next(std::stop_token stop) override;
  std::optional<std::uint64_t> size() const override { return form_.size; }
  const wire::Pairs& trailers() const override;

 private:
  Result<std::string> finish();

  Exchange& exchange_;
  UploadForm form_;
  std::optional<wire::sigv4::ChunkDecoder> decoder_;
  std::optional<wire::Sha256> hash_;
  std::uint64_t taken_ = 0;
};

}  // namespace mayfly::front
