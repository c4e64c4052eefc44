// Policies of queues: documents of the policy language, kept as text and read for guard/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "guard/guard.h"
#include "services/sqs/errors.h"

namespace mayfly::services::sqs {

// One statement for each principal, action and resource. Conditions: SourceArn, SourceAccount and
// SecureTransport (which counts as met: this server is reached on its own machine). An Allow with
// another condition never holds, a Deny with one always does: whoever wrote it is on the safe side.
// NotPrincipal, NotAction and NotResource are refused.
ApiResult<std::vector<guard::PolicyStatement>> read_policy(std::string_view document);

// Adds or removes the statement that AddPermission's label names.
ApiResult<std::string> with_permission(const std::string& document, std::string_view arn,
                                       std::string_view label,
                                       const std::vector<std::string_view>& accounts,
                                       const std::vector<std::string_view>& actions);
ApiResult<std::string> without_permission(const std::string& document, std::string_view label);

}  // namespace mayfly::services::sqs
