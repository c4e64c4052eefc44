// Policies of queues: documents of the policy language, kept as text and read for guard/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guard/guard.h"
#include "services/sqs/errors.h"

namespace mayfly::services::sqs {

// As guard/policy_document.h reads it; the error is this service's.
ApiResult<std::vector<guard::PolicyStatement>> read_policy(std::string_view document);

// Adds or removes the statement that AddPermission's label names.
ApiResult<std::string> with_permission(const std::string& document, std::string_view arn,
                                       std::string_view label,
                                       const std::vector<std::string_view>& accounts,
                                       const std::vector<std::string_view>& actions);
ApiResult<std::string> without_permission(const std::string& document, std::string_view label);

}  // namespace mayfly::services::sqs
