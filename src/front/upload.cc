#include "front/upload.h"

#include "wire/text.h"

namespace mayfly::front {

namespace sigv4 = wire::sigv4;
using sigv4::Streaming;

namespace {

std::unexpected<api::ApiError> refuse(std::string code, int status, std::string message) {
  return std::unexpected(
      api::ApiError{std::move(code), status, std::move(message), status < 500, {}});
}

std::unexpected<Error> broken_off(const io::http1::Refusal& refusal) {
  if (refusal.status == 408) {
    return fail(ErrorKind::timeout,
                "Your socket connection to the server was not read from or written to within the "
                "timeout period. Idle connections will be closed.",
                "RequestTimeout");
  }
  if (refusal.status == 503) {
    return fail(ErrorKind::unavailable, "Please reduce your request rate.", "SlowDown");
  }
  return fail(ErrorKind::invalid,
              fmt::format("The request body terminated unexpectedly: {}", refusal.text),
              "IncompleteBody");
}

std::unexpected<Error> wrong_size(std::uint64_t declared, std::uint64_t came) {
  return fail(ErrorKind::invalid,
              fmt::format("You did not provide the number of bytes specified by the Content-Length "
                          "HTTP header: {} of {}.",
                          came, declared),
              "IncompleteBody");
}

// A chunk's signature is read over where it is not to be checked.
Streaming read_as(const UploadForm& form) {
  return form.signing ? form.encoding : Streaming::unsigned_trailer;
}

// Of x-amz-content-sha256.
bool is_content_hash(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == text.npos;
}

}  // namespace

std::expected<UploadForm, api::ApiError> upload_form(const io::http1::Head& head) {
  UploadForm form;
  std::string_view hash = head.field("x-amz-content-sha256");
  form.encoding = sigv4::streaming_kind(hash);
  if (is_content_hash(hash)) {
    form.sha256 = wire::to_lower(hash);
  } else if (form.encoding == Streaming::none && !hash.empty() && hash != sigv4::unsigned_payload) {
    return refuse("InvalidArgument", 400,
                  "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                  "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.");
  }
  std::string_view decoded = head.field("x-amz-decoded-content-length");
  if (form.encoding != Streaming::none && !decoded.empty()) {
    auto size = wire::parse_int(decoded);
    if (!size || *size < 0) {
      return refuse("InvalidArgument", 400, "x-amz-decoded-content-length must be a number.");
    }
    form.size = static_cast<std::uint64_t>(*size);
  } else if (form.encoding == Streaming::none && head.framing == io::http1::Framing::length) {
    form.size = head.content_length;
  } else if (head.framing == io::http1::Framing::chunked && form.encoding == Streaming::none) {
    return refuse("NotImplemented", 501,
                  "A header you provided implies functionality that is not implemented: "
                  "Transfer-Encoding.");
  } else {
    return refuse("MissingContentLength", 411, "You must provide the Content-Length HTTP header.");
  }
  return form;
}

Upload::Upload(Exchange& exchange, UploadForm form) : exchange_(exchange), form_(std::move(form)) {
  if (form_.encoding != Streaming::none) {
    decoder_.emplace(read_as(form_),
                     form_.signing ? *form_.signing : sigv4::ChunkDecoder::Signing{});
  }
  if (!form_.sha256.empty()) hash_.emplace();
}

const wire::Pairs& Upload::trailers() const {
  static const wire::Pairs none;
  return decoder_ ? decoder_->trailers() : none;
}

io::Task<Result<std::string>> Upload::next(std::stop_token stop) {
  while (true) {
    auto part = co_await exchange_.read_part(stop);
    if (!part) co_return broken_off(part.error());
    if (part->empty()) co_return finish();
    std::string out;
    if (decoder_) {
      CO_TRY(decoder_->feed(*part, out));
    } else {
      out = *std::move(part);
    }
    taken_ += out.size();
    if (taken_ > form_.size.value_or(taken_)) co_return wrong_size(*form_.size, taken_);
    if (hash_) hash_->update(out);
    if (!out.empty()) co_return out;
  }
}

Result<std::string> Upload::finish() {
  if (decoder_ && !decoder_->complete()) {
    return fail(ErrorKind::invalid, "The request body terminated unexpectedly", "IncompleteBody");
  }
  if (taken_ != form_.size.value_or(taken_)) return wrong_size(*form_.size, taken_);
  if (hash_ && hash_->finish_hex() != form_.sha256) {
    return fail(ErrorKind::invalid,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                "XAmzContentSHA256Mismatch");
  }
  return std::string();
}

}  // namespace mayfly::front
