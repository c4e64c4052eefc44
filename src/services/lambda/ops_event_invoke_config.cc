// What happens to events of asynchronous invocations: retries, age and destinations.
#include "services/lambda/destinations.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

std::string config_key(const FunctionRef& ref) {
  return ref.qualifier.empty() ? "$LATEST" : ref.qualifier;
}

// What the call names replaces what was there; a destination without an ARN takes it away.
ApiResult<void> take_destinations(const model::DestinationConfig& given, const Destinations& by,
                                  functions::EventInvokeConfig& config) {
  auto take = [&](auto part, DestinationOf which, std::string& kept) -> ApiResult<void> {
    if (!part) return {};
    std::string arn(part->destination().value_or(""));
    if (!arn.empty()) {
      if (auto checked = check_destination(arn, which, by); !checked) return checked;
    }
    kept = std::move(arn);
    return {};
  };
  auto taken = take(given.on_success(), DestinationOf::success, config.on_success_arn);
  if (!taken) return taken;
  return take(given.on_failure(), DestinationOf::failure, config.on_failure_arn);
}

model::FunctionEventInvokeConfig describe_config(const functions::Function& function,
                                                 const functions::EventInvokeConfig& config) {
  model::FunctionEventInvokeConfig out;
  out.set_function_arn(function.arn() + ":" + config.qualifier);
  out.set_last_modified(static_cast<double>(epoch_millis(config.modified)) / 1000);
  if (config.max_retries) out.set_maximum_retry_attempts(*config.max_retries);
  if (config.max_age_seconds) out.set_maximum_event_age_in_seconds(*config.max_age_seconds);
  model::DestinationConfig destinations;
  model::OnSuccess success;
  model::OnFailure failure;
  if (!config.on_success_arn.empty()) success.set_destination(config.on_success_arn);
  if (!config.on_failure_arn.empty()) failure.set_destination(config.on_failure_arn);
  destinations.set_on_success(success).set_on_failure(failure);
  out.set_destination_config(destinations);
  return out;
}

api::ApiError no_config(const FunctionRef& ref) {
  return resource_not_found(fmt::format("The function {}:{} doesn't have an EventInvokeConfig",
                                        ref.unqualified_arn(), config_key(ref)));
}

template <class Request>
ApiResult<void> take_over(const Request& in, const Destinations& by,
                          functions::EventInvokeConfig& config) {
  if (!in.maximum_retry_attempts() && !in.maximum_event_age_in_seconds() &&
      !in.destination_config()) {
    return refuse(
        invalid("You must specify at least one of error handling or destination setting."));
  }
  if (auto value = in.maximum_retry_attempts()) config.max_retries = static_cast<int>(*value);
  if (auto value = in.maximum_event_age_in_seconds()) {
    config.max_age_seconds = static_cast<int>(*value);
  }
  if (auto given = in.destination_config()) return take_destinations(*given, by, config);
  return {};
}

}  // namespace

Service::Answer Service::put_function_event_invoke_config(Call& call, Record input) {
  model::PutFunctionEventInvokeConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY_ASSIGN(const Version* version, require_version(ref));
  functions::EventInvokeConfig config;
  config.qualifier = config_key(ref);
  config.modified = deps_.loop.clock().platform();
  CO_TRY(take_over(in, destinations_of(ref, version->role), config));
  CO_TRY(co_await change(ref, [&config](Function& function) -> ApiResult<void> {
    function.event_configs[config.qualifier] = config;
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  co_return describe_config(*function, config).take();
}

Service::Answer Service::get_function_event_invoke_config(Call& call, Record input) {
  model::GetFunctionEventInvokeConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  auto config = function->event_configs.find(config_key(ref));
  if (config == function->event_configs.end()) co_return refuse(no_config(ref));
  co_return describe_config(*function, config->second).take();
}

Service::Answer Service::update_function_event_invoke_config(Call& call, Record input) {
  model::UpdateFunctionEventInvokeConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY_ASSIGN(const Version* version, require_version(ref));
  Destinations by = destinations_of(ref, version->role);
  functions::EventInvokeConfig config;
  CO_TRY(co_await change(ref, [&](Function& function) -> ApiResult<void> {
    auto found = function.event_configs.find(config_key(ref));
    if (found == function.event_configs.end()) return refuse(no_config(ref));
    config = found->second;
    if (auto taken = take_over(in, by, config); !taken) return taken;
    config.modified = deps_.loop.clock().platform();
    found->second = config;
    return {};
  }));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  co_return describe_config(*function, config).take();
}

Service::Answer Service::delete_function_event_invoke_config(Call& call, Record input) {
  model::DeleteFunctionEventInvokeConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(require_qualifier(ref));
  CO_TRY(co_await change(ref, [&ref](Function& function) -> ApiResult<void> {
    if (function.event_configs.erase(config_key(ref)) == 0) return refuse(no_config(ref));
    return {};
  }));
  co_return Record();
}

Service::Answer Service::list_function_event_invoke_configs(Call& call, Record input) {
  model::ListFunctionEventInvokeConfigsRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  CO_TRY_ASSIGN(std::string marker, read_marker(in.marker()));
  std::vector<const functions::EventInvokeConfig*> found;
  for (const auto& [qualifier, config] : function->event_configs) found.push_back(&config);
  std::optional<std::string> next;
  found = page_of(std::move(found), marker, page_size(in.max_items()), next,
                  [](const functions::EventInvokeConfig* config) { return config->qualifier; });
  std::vector<model::FunctionEventInvokeConfig> page;
  for (const auto* config : found) page.push_back(describe_config(*function, *config));
  model::ListFunctionEventInvokeConfigsResponse out;
  out.set_function_event_invoke_configs(std::move(page));
  if (next) out.set_next_marker(*next);
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
