// What a reader asks to be true (RFC 9110, section 13.2.2, as S3 has it), and which bytes it wants.
#pragma once

#include <optional>
#include <string>

#include "services/s3/errors.h"
#include "services/s3/pieces.h"

namespace mayfly::services::s3 {

struct ReadCondition {
  std::optional<std::string_view> if_match{};
  std::optional<std::string_view> if_none_match{};
  std::optional<double> if_modified_since{};  // epoch seconds
  std::optional<double> if_unmodified_since{};
};

// 412 PreconditionFailed, 304; of copies both are 412.
ApiResult<void> check_read(const Object& object, const ReadCondition& condition, bool copies);

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t size = 0;
};
// "bytes=0-9", "bytes=5-", "bytes=-5". nullopt: all of it, as for what is no range, or several.
// 416 InvalidRange where nothing of the object lies in it.
ApiResult<std::optional<ByteRange>> read_range(std::string_view text, std::uint64_t size);
// The same, where it must be there and within the object: x-amz-copy-source-range.
ApiResult<ByteRange> read_copy_range(std::string_view text, std::uint64_t size);

// Where the bytes of a range are.
std::vector<Pieces::Slice> slices_of(const Object& object, const std::vector<Part>& parts,
                                     ByteRange range);

}  // namespace mayfly::services::s3
