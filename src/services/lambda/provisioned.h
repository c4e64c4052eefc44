// Rules of provisioned concurrency that more than its own operations ask.
#pragma once

#include "functions/model.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

// A version with SnapStart has no provisioned concurrency.
ApiResult<void> check_provisioned_version(const functions::Function& function,
                                          const std::string& number);

// An alias with provisioned concurrency leads to one published version, and no other configuration
// does. Also for an alias that is about to become so.
ApiResult<void> check_provisioned_alias(const functions::Function& function,
                                        const functions::Alias& alias, bool becomes = false);

}  // namespace mayfly::lambda
