#include "services/s3/copy_source.h"

#include "services/s3/names.h"
#include "services/s3/versions.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

ApiResult<CopySource> read_copy_source(std::string_view text) {
  constexpr std::string_view version = "?versionId=";
  std::string id;
  if (auto at = text.find(version); at != text.npos) {
    id = text.substr(at + version.size());
    if (auto good = check_version_id(id); !good) return std::unexpected(good.error());
    text = text.substr(0, at);
  }
  auto decoded = wire::percent_decode(text);
  if (decoded && decoded->starts_with('/')) decoded->erase(0, 1);
  auto slash = decoded ? decoded->find('/') : std::string::npos;
  if (slash == std::string::npos || slash == 0 || slash + 1 == decoded->size()) {
    return invalid_argument("Invalid copy source object key");
  }
  return CopySource{decoded->substr(0, slash), decoded->substr(slash + 1), std::move(id)};
}

ApiResult<Object> find_copy_source(const Deps& deps, const api::Call& call,
                                   const CopySource& source, std::string_view expected_owner,
                                   const ReadCondition& condition) {
  auto bucket = find_bucket(deps, call, source.bucket,
                            source.version.empty() ? "s3:GetObject" : "s3:GetObjectVersion",
                            bucket_arn(source.bucket) + "/" + source.key);
  if (!bucket) return std::unexpected(std::move(bucket.error()));
  if (!expected_owner.empty() && expected_owner != (*bucket)->owner.str()) return access_denied();
  auto object = find_object(deps, **bucket, source.key, source.version);
  if (!object && object.error().code == "MethodNotAllowed") {
    return invalid_request(
        "The source of a copy request may not specifically refer to a delete marker by version "
        "id.");
  }
  if (!object) return object;
  if (auto good = check_read(*object, condition, true); !good) {
    return std::unexpected(std::move(good.error()));
  }
  return object;
}

void set_source_version(const Deps& deps, const CopySource& source, const Object& object,
                        wire::Record& output) {
  auto bucket = deps.buckets.find(source.bucket);
  if (bucket && !bucket->versioning.empty()) {
    set_member(output, "CopySourceVersionId", version_id(object));
  }
}

}  // namespace mayfly::services::s3
