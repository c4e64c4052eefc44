// The object that a copy is made of: x-amz-copy-source and its conditions.
#pragma once

#include "services/s3/conditions.h"
#include "services/s3/service.h"

namespace mayfly::services::s3 {

struct CopySource {
  std::string bucket;
  std::string key;
  std::string version{};  // id; empty: the current one
};

// "BUCKET/KEY", with a slash before it or without, percent-encoded, and "?versionId=ID" perhaps:
// InvalidArgument.
ApiResult<CopySource> read_copy_source(std::string_view text);

// For a caller who may read it, where the conditions hold.
ApiResult<Object> find_copy_source(const Deps& deps, const api::Call& call,
                                   const CopySource& source, std::string_view expected_owner,
                                   const ReadCondition& condition);

// "CopySourceVersionId", of a bucket that keeps versions.
void set_source_version(const Deps& deps, const CopySource& source, const Object& object,
                        wire::Record& output);

}  // namespace mayfly::services::s3
