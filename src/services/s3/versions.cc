#include "services/s3/versions.h"

#include <algorithm>
#include <charconv>

namespace mayfly::services::s3 {

namespace {

constexpr std::size_t digits = 16;
constexpr int base = 16;

std::uint64_t number_of(std::string_view version) {
  std::uint64_t out = 0;
  std::from_chars(version.data(), version.data() + version.size(), out, base);
  return out;
}

}  // namespace

bool is_null(const Object& object) { return object.version.empty() || object.null_version; }

std::string version_id(const Object& object) {
  return is_null(object) ? std::string(null_version) : object.version;
}

bool is_version_id(std::string_view text) {
  return text == null_version ||
         (text.size() == digits &&
          text.find_first_not_of("0123456789abcdef") == std::string_view::npos);
}

std::string version_text(std::uint64_t number) { return fmt::format("{:016x}", number); }

std::string version_after(std::string_view version) { return version_text(number_of(version) + 1); }

std::string order_of(std::string_view version) { return version_text(~number_of(version)); }

std::string versions_of_bucket(std::string_view bucket) { return fmt::format("v/{}/", bucket); }

std::string versions_of_key(std::string_view bucket, std::string_view key) {
  auto out = versions_of_bucket(bucket).append(key);
  out.push_back('\0');
  return out;
}

std::string version_row(std::string_view bucket, const Object& object) {
  return versions_of_key(bucket, object.key) + order_of(object.version);
}

std::string null_row(std::string_view bucket, std::string_view key) {
  return fmt::format("w/{}/{}", bucket, key);
}

Result<VersionName> name_of_row(std::string_view row) {
  if (row.size() <= digits || row[row.size() - digits - 1] != '\0') {
    return fail(ErrorKind::corrupt, "the row of a version has no number");
  }
  return VersionName{std::string(row.substr(0, row.size() - digits - 1)),
                     std::string(row.substr(row.size() - digits))};
}

}  // namespace mayfly::services::s3
