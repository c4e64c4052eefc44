// What a client may say of an event source mapping of a queue.
#pragma once

#include "api/lambda.h"
#include "functions/mappings.h"
#include "pump/pump.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

// What queues have not, and what this server has not built yet.
ApiResult<void> refuse_others(const wire::Record& input);

// Provisioned mode: what is not named is as the cloud has it; without both it is off.
void take_pollers(const api::lambda::ProvisionedPollerConfig& given, functions::Mapping& mapping);

// Takes over what the call names; the rest stays.
template <class Request>
ApiResult<void> take_settings(const Request& in, functions::Mapping& mapping) {
  if (auto size = in.batch_size()) mapping.batch_size = static_cast<int>(*size);
  if (auto window = in.maximum_batching_window_in_seconds()) {
    mapping.window_seconds = static_cast<int>(*window);
  }
  if (auto enabled = in.enabled()) mapping.enabled = *enabled;
  if (in.has_function_response_types()) {
    mapping.report_failures = !in.function_response_types().empty();
  }
  if (auto scaling = in.scaling_config()) {
    mapping.max_concurrency = static_cast<int>(scaling->maximum_concurrency().value_or(0));
  }
  if (auto pollers = in.provisioned_poller_config()) take_pollers(*pollers, mapping);
  if (auto metrics = in.metrics_config()) {
    auto names = metrics->metrics();
    mapping.count_events = std::ranges::find(names, "EventCount") != names.end();
  }
  if (auto criteria = in.filter_criteria()) {
    mapping.filters.clear();
    for (const auto& filter : criteria->filters()) {
      mapping.filters.emplace_back(filter.pattern().value_or(""));
    }
  }
  return refuse_others(in.record());
}

// Of a mapping whose settings are good.
pump::Settings pump_settings(const functions::Mapping& mapping);

// Batch, window, filters, pollers and flow, as far as they can be judged by themselves.
ApiResult<void> check_settings(const functions::Mapping& mapping, bool ordered);

}  // namespace mayfly::lambda
