// Destinations of asynchronous invocations: which ARNs can take a record, and the record itself.
#pragma once

#include <string>

#include "events/switchboard.h"
#include "functions/model.h"
#include "functions/registry.h"
#include "invoke/invoker.h"
#include "services/lambda/names.h"

namespace mayfly::lambda {

enum class DestinationOf { success, failure };

// Who may be told, and on whose behalf.
struct Destinations {
  const functions::Registry& registry;
  const events::Switchboard* switchboard;  // nullptr: functions alone
  FunctionRef of;
  std::string role_arn;
};

// Functions of the same account and region, standard queues and topics, and buses are taken. What
// is not there, or what the role may not push to, is refused here, when it is configured, so that
// no record is lost when it is due.
ApiResult<void> check_destination(std::string_view arn, DestinationOf which,
                                  const Destinations& by);
// A standard queue or topic.
ApiResult<void> check_dead_letter(std::string_view arn, const Destinations& by);

// {"version":"1.0","timestamp":…,"requestContext":…,"requestPayload":…} as the developer guide
// shows it ("Adding a destination"); payloads are passed through byte by byte.
std::string destination_record(const invoke::Ending& ending, WallTime now);

// RequestID, ErrorCode and ErrorMessage, which go with an event to its dead-letter queue (developer
// guide, "Adding a dead-letter queue").
std::vector<events::Attribute> dead_letter_attributes(const invoke::Ending& ending);

}  // namespace mayfly::lambda
