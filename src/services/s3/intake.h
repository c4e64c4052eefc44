// The payload of an upload on its way to the disk: hashed as it passes, compared with what its
// client said of it, never whole in memory.
#pragma once

#include "api/operation.h"
#include "services/s3/errors.h"
#include "services/s3/pieces.h"

namespace mayfly::services::s3 {

// What a client says of a payload, before it or behind it.
struct Expected {
  std::string md5{};                     // raw; Content-MD5
  std::optional<Algorithm> algorithm{};  // of the checksum that is kept
  std::string value{};                   // base64; empty: in the trailer, or nowhere
  std::uint64_t most = 0;                // bytes
};

// From the members of PutObject and UploadPart: InvalidDigest, InvalidRequest.
ApiResult<Expected> expected_of(const wire::Record& input, std::uint64_t most);
// "Checksum…" members: at most one; InvalidRequest for what is no value of it.
ApiResult<void> read_checksum_member(const wire::Record& input, Expected& into);
// The algorithm of a ChecksumAlgorithm member.
ApiResult<std::optional<Algorithm>> read_algorithm(std::optional<std::string_view> name);
// Raw bytes of a Content-MD5.
ApiResult<std::string> read_md5(std::string_view text);

struct Received {
  Piece piece;
  std::string bytes;  // of a piece that is a row
  std::string md5;    // raw
  Checksum checksum;
};

// On the disk, and named by nothing yet: the caller names it, or drops it.
io::Task<ApiResult<Received>> receive(Pieces& pieces, api::Upload* upload, Expected expected);
// What another object holds, as an upload of it.
io::Task<ApiResult<Received>> receive(Pieces& pieces, io::BodySource& source, Expected expected);

}  // namespace mayfly::services::s3
