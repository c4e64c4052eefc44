// Versions of objects: what is kept when an object is replaced or deleted (user guide, "Retaining
// multiple versions of objects with S3 Versioning").
//
//   o/BUCKET/KEY             the current object: there is none where the newest is a delete marker
//   v/BUCKET/KEY NUL ORDER   each older version and each delete marker, the newest first
//   w/BUCKET/KEY             the ORDER of the null version among them
//
// A version's id is a number that grows, of 16 digits; ORDER is what is missing from it to the
// greatest. A null version has a number, too, if its bucket kept versions when it was put.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "services/s3/object.h"
#include "store/store.h"

namespace mayfly::services::s3 {

inline constexpr std::string_view versions_enabled = "Enabled";
inline constexpr std::string_view versions_suspended = "Suspended";
inline constexpr std::string_view null_version = "null";

// "null", or its number.
std::string version_id(const Object& object);
bool is_null(const Object& object);
// What could be an id here.
bool is_version_id(std::string_view text);
std::string version_text(std::uint64_t number);
// Greater than that one.
std::string version_after(std::string_view version);

// ORDER of a version, and the other way round; of one without a number, the last.
std::string order_of(std::string_view version);

std::string versions_of_bucket(std::string_view bucket);                     // "v/BUCKET/"
std::string versions_of_key(std::string_view bucket, std::string_view key);  // with NUL
std::string version_row(std::string_view bucket, const Object& object);
std::string null_row(std::string_view bucket, std::string_view key);

// A row behind versions_of_bucket(): its key and ORDER. Kind corrupt.
struct VersionName {
  std::string key;
  std::string order;
};
Result<VersionName> name_of_row(std::string_view row);

}  // namespace mayfly::services::s3
