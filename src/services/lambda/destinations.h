// Destinations of asynchronous invocations: which ARNs can take a record, and the record itself.
#pragma once

#include <string>

#include "functions/model.h"
#include "functions/registry.h"
#include "invoke/invoker.h"
#include "services/lambda/names.h"

namespace mayfly::lambda {

enum class DestinationOf { success, failure };

// Functions of the same account and region are taken. What this server has no service for is
// refused here, when it is configured, so that no record is lost when it is due.
ApiResult<void> check_destination(std::string_view arn, DestinationOf which, const FunctionRef& of,
                                  const functions::Registry& registry);

// {"version":"1.0","timestamp":…,"requestContext":…,"requestPayload":…} as the developer guide
// shows it ("Adding a destination"); payloads are passed through byte by byte.
std::string destination_record(const invoke::Ending& ending, WallTime now);

}  // namespace mayfly::lambda
