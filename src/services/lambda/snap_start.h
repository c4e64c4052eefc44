// Rules of SnapStart that more than its own file asks.
#pragma once

#include "functions/model.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

// Which runtimes have it, and what it excludes (developer guide, "Improving startup performance
// with Lambda SnapStart"). A version without it always passes.
ApiResult<void> check_snap_start(const functions::Version& version);

// A published version whose init is run ahead of its calls, and has not ended yet. Of one with
// SnapStart calls are refused, of one on a capacity provider they wait.
bool awaits_init(const functions::Version& version);
// A version that is being published becomes one, where its function has it so.
void await_init(functions::Version& version);

}  // namespace mayfly::lambda
