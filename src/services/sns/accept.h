// What a message must be to be published: the rules of Publish, for clients and for targets alike.
#pragma once

#include "services/sns/errors.h"
#include "services/sns/message.h"
#include "services/sns/topic.h"

namespace mayfly::services::sns {

// MessageStructure "json": an object of texts by protocol, with one for all others ("default").
ApiResult<void> take_structure(std::string_view structure, Message& message);
// The map of a request.
ApiResult<std::vector<events::Attribute>> read_attributes(const wire::Value* map);
// Body, subject, size, order and deduplication; fills in what content-based deduplication makes.
ApiResult<void> accept(const Topic& topic, Message& message);

}  // namespace mayfly::services::sns
