// What a receive says of a message beside its parts.
#pragma once

#include "services/sqs/queue.h"

namespace mayfly::services::sqs {

std::map<std::string, std::string> system_attributes(const Received& got, bool fifo);

}  // namespace mayfly::services::sqs
