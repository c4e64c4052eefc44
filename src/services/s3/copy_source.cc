#include "services/s3/copy_source.h"

#include "services/s3/names.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

ApiResult<CopySource> read_copy_source(std::string_view text) {
  constexpr std::string_view version = "?versionId=";
  if (auto at = text.find(version); at != text.npos) {
    if (text.substr(at + version.size()) != "null") {
      return invalid_argument("Invalid version id specified");
    }
    text = text.substr(0, at);
  }
  auto decoded = wire::percent_decode(text);
  if (decoded && decoded->starts_with('/')) decoded->erase(0, 1);
  auto slash = decoded ? decoded->find('/') : std::string::npos;
  if (slash == std::string::npos || slash == 0 || slash + 1 == decoded->size()) {
    return invalid_argument("Invalid copy source object key");
  }
  return CopySource{decoded->substr(0, slash), decoded->substr(slash + 1)};
}

ApiResult<Object> find_copy_source(const Deps& deps, const api::Call& call,
                                   const CopySource& source, std::string_view expected_owner,
                                   const ReadCondition& condition) {
  auto bucket = find_bucket(deps, call, source.bucket, "s3:GetObject",
                            bucket_arn(source.bucket) + "/" + source.key);
  if (!bucket) return std::unexpected(std::move(bucket.error()));
  if (!expected_owner.empty() && expected_owner != (*bucket)->owner.str()) return access_denied();
  auto object = find_object(deps, **bucket, source.key);
  if (!object) return object;
  if (auto good = check_read(*object, condition, true); !good) {
    return std::unexpected(std::move(good.error()));
  }
  return object;
}

}  // namespace mayfly::services::s3
