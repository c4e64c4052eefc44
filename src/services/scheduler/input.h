// From what a client asks for to a Schedule, with the rules that the model cannot say.
#pragma once

#include "services/scheduler/errors.h"
#include "services/scheduler/scheduler.h"

namespace mayfly::services::scheduler {

// Of CreateSchedule and UpdateSchedule, whose members are the same. Without id and times.
ApiResult<Schedule> read_schedule(const model::CreateScheduleInput& in, const ScheduleRef& ref,
                                  const Scheduler::Deps& deps);
ApiResult<Target> read_target(const model::Target& in, const ScheduleRef& ref,
                              const Scheduler::Deps& deps);

// The tags of a group: their number, and our own.
ApiResult<void> check_tags(const Tags& tags, const events::Switchboard& switchboard);

}  // namespace mayfly::services::scheduler
