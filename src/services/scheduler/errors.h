// The answers to what is wrong, in the cloud's words where they are known.
#pragma once

#include "api/scheduler.h"
#include "base/result.h"
#include "services/scheduler/schedule.h"

namespace mayfly::services::scheduler {

namespace model = api::scheduler;
using api::ApiResult;
using Refusal = std::unexpected<api::ApiError>;

Refusal invalid(std::string message);  // 400 ValidationException
Refusal no_schedule(std::string_view name);
Refusal no_group(std::string_view name);
Refusal not_built(std::string message);  // 501 NotImplementedException
// The error of the store.
Refusal failure(const Error& error);

}  // namespace mayfly::services::scheduler
