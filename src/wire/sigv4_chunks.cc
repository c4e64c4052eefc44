#include "wire/hash.h"
#include "wire/sigv4.h"

namespace mayfly::wire::sigv4 {

namespace {

// A chunk's head or a trailer line; real ones stay below 200 bytes.
constexpr std::size_t line_bytes = 4096;
constexpr std::size_t trailer_lines = 32;
// A signed chunk is held back until its signature is verified; clients send at most some MiB.
constexpr std::uint64_t signed_chunk_bytes = 64ull << 20;

std::unexpected<Error> malformed(std::string text) {
  return fail(ErrorKind::invalid, std::move(text), "IncompleteBody");
}

Result<std::uint64_t> read_size(std::string_view text) {
  if (text.empty() || text.size() > 15) return malformed("a chunk's size is not a number");
  std::uint64_t out = 0;
  for (char c : text) {
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return malformed("a chunk's size is not a number");
    out = out * 16 + static_cast<std::uint64_t>(digit);
  }
  return out;
}

}  // namespace

Streaming streaming_kind(std::string_view content_sha256) {
  if (content_sha256 == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") return Streaming::signed_chunks;
  if (content_sha256 == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") {
    return Streaming::signed_with_trailer;
  }
  if (content_sha256 == "STREAMING-UNSIGNED-PAYLOAD-TRAILER") return Streaming::unsigned_trailer;
  return Streaming::none;
}

ChunkDecoder::ChunkDecoder(Streaming kind, Signing signing)
    : kind_(kind), signing_(std::move(signing)) {}

Result<> ChunkDecoder::check(std::string_view string_to_sign, std::string_view given) {
  std::string expected = signature(signing_.key, string_to_sign);
  if (!equal_in_constant_time(expected, given)) {
    return fail(ErrorKind::unauthenticated,
                "The request signature we calculated does not match the signature you provided.",
                "SignatureDoesNotMatch");
  }
  signing_.seed_signature = std::move(expected);
  return {};
}

Result<> ChunkDecoder::on_head(std::string_view line) {
  std::size_t semicolon = line.find(';');
  TRY_ASSIGN(size_, read_size(line.substr(0, semicolon)));
  given_.clear();
  if (is_signed()) {
    constexpr std::string_view name = "chunk-signature=";
    std::string_view rest =
        semicolon == std::string_view::npos ? std::string_view() : line.substr(semicolon + 1);
    if (!rest.starts_with(name)) return malformed("a chunk has no signature");
    given_ = rest.substr(name.size());
    if (size_ > signed_chunk_bytes) return malformed("a chunk is too large");
  }
  missing_ = size_;
  chunk_.clear();
  state_ = State::data;
  return {};
}

Result<> ChunkDecoder::end_chunk(std::string& out) {
  if (!is_signed()) return {};
  TRY(check(fmt::format("AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{}\n{}\n{}", signing_.amz_date,
                        signing_.scope, signing_.seed_signature, empty_sha256, sha256_hex(chunk_)),
            given_));
  out += chunk_;
  return {};
}

Result<> ChunkDecoder::on_trailer(std::string_view line) {
  if (line.empty()) {
    if (kind_ == Streaming::signed_with_trailer && !trailer_signed_) {
      return malformed("the trailer is not signed");
    }
    state_ = State::done;
    return {};
  }
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || trailers_.size() >= trailer_lines) {
    return malformed("the trailer is malformed");
  }
  std::string name = to_lower(trim(line.substr(0, colon)));
  std::string value(trim(line.substr(colon + 1)));
  if (name == "x-amz-trailer-signature") {
    trailer_signed_ = true;
    if (kind_ != Streaming::signed_with_trailer) return {};
    return check(fmt::format("AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{}\n{}", signing_.amz_date,
                             signing_.scope, signing_.seed_signature, sha256_hex(trailer_text_)),
                 value);
  }
  // What comes behind the signature would not be covered by it.
  if (trailer_signed_) return malformed("the trailer goes on behind its signature");
  trailer_text_ += fmt::format("{}:{}\n", name, value);
  trailers_.emplace_back(std::move(name), std::move(value));
  return {};
}

Result<> ChunkDecoder::feed(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    if (state_ == State::done) return malformed("bytes follow the last chunk");
    if (state_ == State::data && missing_ > 0) {
      auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), missing_));
      (is_signed() ? chunk_ : out) += bytes.substr(0, size);
      bytes.remove_prefix(size);
      missing_ -= size;
      continue;
    }
    if (state_ == State::data) {
      TRY(end_chunk(out));
      state_ = size_ > 0 ? State::data_end : State::trailer;
    }
    std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() > line_bytes) return malformed("a chunk's head is too long");
    if (end == std::string_view::npos) return {};
    bytes.remove_prefix(end + 1);
    if (line_.empty() || line_.back() != '\r') return malformed("a line must end with CR LF");
    line_.pop_back();
    if (state_ == State::head) {
      TRY(on_head(line_));
    } else if (state_ == State::data_end) {
      if (!line_.empty()) return malformed("a chunk is longer than it says");
      state_ = State::head;
    } else {
      TRY(on_trailer(line_));
    }
    line_.clear();
  }
  return {};
}

}  // namespace mayfly::wire::sigv4
