// The EventBridge Scheduler service: the operations of api/scheduler.h, over REST-JSON.
//
// Called by front/ through the operation table. Threads: loop only. Keeps no state of its own.
#pragma once

#include "api/operation.h"
#include "services/scheduler/input.h"

namespace mayfly::services::scheduler {

// `scheduler` lives as long as the server.
api::Service make_scheduler_service(Scheduler& scheduler);

// GET /_mayfly/schedule-runs?arn=ARN: the last runs of a schedule and when it is due next, as JSON;
// nullopt: there is no such schedule.
//
//   {"due":1800000000000,"scheduled":1800000000,"runs":[{"number":6,"scheduled":…,"id":"…",
//    "attempts":1,"began":…,"ended":…,"outcome":"delivered"},…]}
//
// Outcomes: delivered, failed (with code, message, and deadLetter where there is such a queue),
// missed and overlapped. Times are since the epoch: seconds (scheduled), milliseconds (others).
Result<std::optional<std::string>> runs_json(Scheduler& scheduler, std::string_view arn);

// --- for the handlers (ops_*.cc) ---
using Answer = io::Task<ApiResult<wire::Record>>;

Answer create_schedule(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer update_schedule(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer get_schedule(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer delete_schedule(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer list_schedules(Scheduler& scheduler, api::Call& call, wire::Record input);

Answer create_schedule_group(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer get_schedule_group(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer delete_schedule_group(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer list_schedule_groups(Scheduler& scheduler, api::Call& call, wire::Record input);

Answer tag_resource(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer untag_resource(Scheduler& scheduler, api::Call& call, wire::Record input);
Answer list_tags_for_resource(Scheduler& scheduler, api::Call& call, wire::Record input);

// Pages: a token is the place of the last item, unreadable to clients.
ApiResult<std::string> read_token(std::optional<std::string_view> token);
std::string write_token(std::string_view place);

}  // namespace mayfly::services::scheduler
