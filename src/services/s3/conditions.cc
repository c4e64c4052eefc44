#include "services/s3/conditions.h"

#include <algorithm>

#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

// A list of entity tags, or "*".
bool names(std::string_view list, const std::string& etag) {
  for (auto part : wire::split(list, ',')) {
    part = wire::trim(part);
    if (part == "*") return true;
    if (part.starts_with("W/")) part.remove_prefix(2);
    if (part.size() > 1 && part.starts_with('"') && part.ends_with('"')) {
      part = part.substr(1, part.size() - 2);
    }
    if (part == etag) return true;
  }
  return false;
}

struct Bounds {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;
};

std::optional<std::uint64_t> digits(std::string_view text) {
  if (text.find_first_not_of("0123456789") != text.npos) return std::nullopt;
  auto number = wire::parse_int(text);
  if (!number) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

// nullopt: it is no single range.
std::optional<Bounds> bounds_of(std::string_view text) {
  constexpr std::string_view unit = "bytes=";
  if (!text.starts_with(unit)) return std::nullopt;
  text.remove_prefix(unit.size());
  auto dash = text.find('-');
  if (dash == text.npos) return std::nullopt;
  auto first = wire::trim(text.substr(0, dash));
  auto last = wire::trim(text.substr(dash + 1));
  Bounds out;
  if (!first.empty()) {
    out.first = digits(first);
    if (!out.first) return std::nullopt;
  }
  if (!last.empty()) {
    out.last = digits(last);
    if (!out.last) return std::nullopt;
  }
  if (!out.first && !out.last) return std::nullopt;
  if (out.first && out.last && *out.last < *out.first) return std::nullopt;
  return out;
}

Refusal invalid_range() {
  return refuse("InvalidRange", 416, "The requested range is not satisfiable");
}

}  // namespace

ApiResult<void> check_read(const Object& object, const ReadCondition& condition, bool copies) {
  auto changed = static_cast<double>(object.modified_ms / 1000);
  if (condition.if_match) {
    if (!names(*condition.if_match, object.etag)) return precondition_failed("If-Match");
  } else if (condition.if_unmodified_since && changed > *condition.if_unmodified_since) {
    return precondition_failed("If-Unmodified-Since");
  }
  if (condition.if_none_match) {
    if (!names(*condition.if_none_match, object.etag)) return {};
    if (copies) return precondition_failed("If-None-Match");
    return not_modified(object.etag);
  }
  if (condition.if_modified_since && changed <= *condition.if_modified_since) {
    if (copies) return precondition_failed("If-Modified-Since");
    return not_modified(object.etag);
  }
  return {};
}

ApiResult<std::optional<ByteRange>> read_range(std::string_view text, std::uint64_t size) {
  auto bounds = bounds_of(text);
  if (!bounds) return std::nullopt;
  if (!bounds->first) {
    auto length = std::min(*bounds->last, size);
    if (length == 0) return invalid_range();
    return ByteRange{size - length, length};
  }
  if (*bounds->first >= size) return invalid_range();
  auto last = std::min(bounds->last.value_or(size - 1), size - 1);
  return ByteRange{*bounds->first, last - *bounds->first + 1};
}

ApiResult<ByteRange> read_copy_range(std::string_view text, std::uint64_t size) {
  auto bounds = bounds_of(text);
  if (!bounds || !bounds->first || !bounds->last) {
    return invalid_argument(
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and "
        "last are the zero-based offsets of the first and last bytes to copy");
  }
  if (*bounds->last >= size) {
    return invalid_argument(
        fmt::format("Range specified is not valid for source object of size: {}", size));
  }
  return ByteRange{*bounds->first, *bounds->last - *bounds->first + 1};
}

std::vector<Pieces::Slice> slices_of(const Object& object, const std::vector<Part>& parts,
                                     ByteRange range) {
  std::vector<Pieces::Slice> out;
  if (object.parts == 0) {
    out.push_back({object.piece, range.first, range.size});
    return out;
  }
  std::uint64_t begin = 0;
  std::uint64_t end = range.first + range.size;
  for (const auto& part : parts) {
    std::uint64_t from = std::max(begin, range.first);
    std::uint64_t to = std::min(begin + part.piece.size, end);
    if (from < to) out.push_back({part.piece, from - begin, to - from});
    begin += part.piece.size;
  }
  return out;
}

}  // namespace mayfly::services::s3
