// Tags of buckets and of objects (user guide, "Categorizing your objects using tags").
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "services/s3/errors.h"

namespace mayfly::services::s3 {

using Tags = std::map<std::string, std::string>;

// InvalidTag; BadRequest where there are more than `most`.
ApiResult<Tags> read_tags(const std::vector<model::Tag>& tags, std::size_t most);
// Of x-amz-tagging: "a=b&c=d", percent-encoded. InvalidArgument.
ApiResult<Tags> read_tag_header(std::string_view text);
std::vector<model::Tag> written(const Tags& tags);

}  // namespace mayfly::services::s3
