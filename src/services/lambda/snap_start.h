// Rules of SnapStart that more than its own file asks.
#pragma once

#include "functions/model.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

// Which runtimes have it, and what it excludes (developer guide, "Improving startup performance
// with Lambda SnapStart"). A version without it always passes.
ApiResult<void> check_snap_start(const functions::Version& version);

// A published version whose init has not been run yet; calls of it are refused.
bool awaits_snapshot(const functions::Version& version);
// A version that is being published becomes one, where the function has SnapStart.
void await_snapshot(functions::Version& version);

}  // namespace mayfly::lambda
