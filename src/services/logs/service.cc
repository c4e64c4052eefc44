#include "services/logs/service.h"

namespace mayfly::services::logs {

namespace model = api::logs;

api::Service make_logs_service(Deps deps) {
  api::Service service;
  service.model = &model::model;
  auto add = [&](std::string_view name, Answer (*handler)(Deps, api::Call&, wire::Record)) {
    service.handlers[name] = [deps, handler](api::Call& call, wire::Record input) {
      return handler(deps, call, std::move(input));
    };
  };
  add("CreateLogGroup", create_log_group);
  add("DeleteLogGroup", delete_log_group);
  add("DescribeLogGroups", describe_log_groups);
  add("PutRetentionPolicy", put_retention_policy);
  add("DeleteRetentionPolicy", delete_retention_policy);
  add("TagLogGroup", tag_log_group);
  add("UntagLogGroup", untag_log_group);
  add("ListTagsLogGroup", list_tags_log_group);
  add("TagResource", tag_resource);
  add("UntagResource", untag_resource);
  add("ListTagsForResource", list_tags_for_resource);
  add("CreateLogStream", create_log_stream);
  add("DeleteLogStream", delete_log_stream);
  add("DescribeLogStreams", describe_log_streams);
  add("PutLogEvents", put_log_events);
  add("GetLogEvents", get_log_events);
  add("FilterLogEvents", filter_log_events);
  return service;
}

api::ApiError no_such_group() {
  return model::resource_not_found_exception("The specified log group does not exist.");
}

api::ApiError no_such_stream() {
  return model::resource_not_found_exception("The specified log stream does not exist.");
}

api::ApiResult<void> require_stream(const Deps& deps, const Scope& scope, std::string_view group,
                                    std::string_view name) {
  auto found = deps.logs.find_stream(scope, group, name);
  if (!found) return std::unexpected(api_error(found.error()));
  if (!*found) return std::unexpected(no_such_stream());
  return {};
}

api::ApiError api_error(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found: return model::resource_not_found_exception(error.message);
    case ErrorKind::already_exists: return model::resource_already_exists_exception(error.message);
    case ErrorKind::invalid: return model::invalid_parameter_exception(error.message);
    case ErrorKind::conflict: return model::operation_aborted_exception(error.message);
    case ErrorKind::unavailable: return model::service_unavailable_exception(error.message);
    default: return api::internal_failure(error.message);
  }
}

api::ApiResult<std::string> resolve_group(const Deps& deps, const Scope& scope,
                                          std::optional<std::string_view> name,
                                          std::optional<std::string_view> identifier) {
  if (name.has_value() == identifier.has_value()) {
    return std::unexpected(model::invalid_parameter_exception(
        name ? "LogGroup name and LogGroup ARN are mutually exclusive parameters."
             : "Either logGroupName or logGroupIdentifier must be specified."));
  }
  auto group = name ? std::optional(std::string(*name)) : group_of_identifier(scope, *identifier);
  if (!group || deps.logs.find_group(scope, *group) == nullptr) {
    return std::unexpected(no_such_group());
  }
  return std::move(*group);
}

}  // namespace mayfly::services::logs
