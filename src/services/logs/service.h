// The CloudWatch Logs service: the operations of api/logs.h on the log store of telemetry/.
//
// Called by front/ through the operation table. Threads: loop only. Keeps no state of its own; the
// handlers hold Deps by value.
#pragma once

#include "api/logs.h"
#include "services/logs/model.h"

namespace mayfly::services::logs {

api::Service make_logs_service(Deps deps);

// --- for the handlers (ops_*.cc) ---
using Answer = io::Task<api::ApiResult<wire::Record>>;

api::ApiError no_such_group();
api::ApiError no_such_stream();
api::ApiResult<void> require_stream(const Deps& deps, const Scope& scope, std::string_view group,
                                    std::string_view name);
// The error of a room below, as the API names it.
api::ApiError api_error(const Error& error);
// The group named by one of logGroupName and logGroupIdentifier; it exists.
api::ApiResult<std::string> resolve_group(const Deps& deps, const Scope& scope,
                                          std::optional<std::string_view> name,
                                          std::optional<std::string_view> identifier);

Answer create_log_group(Deps deps, api::Call& call, wire::Record input);
Answer delete_log_group(Deps deps, api::Call& call, wire::Record input);
Answer describe_log_groups(Deps deps, api::Call& call, wire::Record input);
Answer put_retention_policy(Deps deps, api::Call& call, wire::Record input);
Answer delete_retention_policy(Deps deps, api::Call& call, wire::Record input);

Answer tag_log_group(Deps deps, api::Call& call, wire::Record input);
Answer untag_log_group(Deps deps, api::Call& call, wire::Record input);
Answer list_tags_log_group(Deps deps, api::Call& call, wire::Record input);
Answer tag_resource(Deps deps, api::Call& call, wire::Record input);
Answer untag_resource(Deps deps, api::Call& call, wire::Record input);
Answer list_tags_for_resource(Deps deps, api::Call& call, wire::Record input);

Answer create_log_stream(Deps deps, api::Call& call, wire::Record input);
Answer delete_log_stream(Deps deps, api::Call& call, wire::Record input);
Answer describe_log_streams(Deps deps, api::Call& call, wire::Record input);

Answer put_log_events(Deps deps, api::Call& call, wire::Record input);
Answer get_log_events(Deps deps, api::Call& call, wire::Record input);
Answer filter_log_events(Deps deps, api::Call& call, wire::Record input);

}  // namespace mayfly::services::logs
