#include "services/lambda/event_source_settings.h"

#include "base/limits.h"
#include "gate/flow.h"
#include "wire/event_pattern.h"

namespace mayfly::lambda {

namespace {

// For streams and brokers alone (API reference, CreateEventSourceMapping).
constexpr std::array<std::string_view, 16> not_of_queues{"StartingPosition",
                                                         "StartingPositionTimestamp",
                                                         "ParallelizationFactor",
                                                         "BisectBatchOnFunctionError",
                                                         "MaximumRecordAgeInSeconds",
                                                         "MaximumRetryAttempts",
                                                         "TumblingWindowInSeconds",
                                                         "DestinationConfig",
                                                         "Topics",
                                                         "Queues",
                                                         "SourceAccessConfigurations",
                                                         "SelfManagedEventSource",
                                                         "AmazonManagedKafkaEventSourceConfig",
                                                         "SelfManagedKafkaEventSourceConfig",
                                                         "DocumentDBEventSourceConfig",
                                                         "LoggingConfig"};

constexpr std::array<std::string_view, 1> not_built{"KMSKeyArn"};

bool is_there(const wire::Record& input, std::string_view member) {
  int index = input.shape == nullptr ? -1 : input.index(member);
  return index >= 0 && input.has(static_cast<std::size_t>(index));
}

}  // namespace

ApiResult<void> refuse_others(const wire::Record& input) {
  for (auto member : not_built) {
    if (is_there(input, member)) return refuse(unbuilt(member));
  }
  for (auto member : not_of_queues) {
    if (is_there(input, member)) {
      return refuse(invalid(fmt::format("{} is not valid for SQS event sources.", member)));
    }
  }
  return {};
}

void take_pollers(const api::lambda::ProvisionedPollerConfig& given, functions::Mapping& mapping) {
  auto least = given.minimum_pollers();
  auto most = given.maximum_pollers();
  if (!least && !most) {
    mapping.pollers_min = mapping.pollers_max = 0;
    return;
  }
  constexpr int least_by_rule = 2;
  mapping.pollers_min = static_cast<int>(least.value_or(least_by_rule));
  mapping.pollers_max =
      static_cast<int>(most.value_or(std::max(limits::mapping_pollers_min, mapping.pollers_min)));
}

namespace {

// Lambda developer guide, "Using provisioned mode with Amazon SQS".
ApiResult<void> check_pollers(const functions::Mapping& mapping) {
  if (mapping.pollers_max == 0) return {};
  if (mapping.max_concurrency > 0) {
    return refuse(
        invalid("ProvisionedPollerConfig cannot be used together with "
                "ScalingConfig.MaximumConcurrency."));
  }
  if (mapping.pollers_min < 2 || mapping.pollers_min > limits::mapping_pollers_min) {
    return refuse(invalid(
        fmt::format("MinimumPollers must be between 2 and {}.", limits::mapping_pollers_min)));
  }
  if (mapping.pollers_max < 2 || mapping.pollers_max > limits::mapping_pollers_max) {
    return refuse(invalid(
        fmt::format("MaximumPollers must be between 2 and {}.", limits::mapping_pollers_max)));
  }
  if (mapping.pollers_max < mapping.pollers_min) {
    return refuse(invalid("MaximumPollers must not be less than MinimumPollers."));
  }
  return {};
}

}  // namespace

pump::Settings pump_settings(const functions::Mapping& mapping) {
  pump::Settings out{.batch_items = static_cast<std::size_t>(mapping.batch_size),
                     .window_ms = mapping.window_seconds * 1000ll,
                     .report_failures = mapping.report_failures};
  if (mapping.max_concurrency > 0) {
    out.batches_max = static_cast<std::size_t>(mapping.max_concurrency);
  }
  if (mapping.pollers_max > 0) {
    constexpr auto each = static_cast<std::size_t>(limits::mapping_poller_batches);
    out.batches_first = static_cast<std::size_t>(mapping.pollers_min) * each;
    out.batches_max = static_cast<std::size_t>(mapping.pollers_max) * each;
    out.batches_per_minute = limits::mapping_provisioned_per_minute;
  }
  // They were read once when they were set.
  for (const auto& filter : mapping.filters) {
    if (auto pattern = wire::EventPattern::parse(filter)) {
      out.filters.push_back(*std::move(pattern));
    }
  }
  if (auto flow = gate::read_flow(mapping.tags)) out.flow = *std::move(flow);
  return out;
}

ApiResult<void> check_settings(const functions::Mapping& mapping, bool ordered) {
  if (auto pollers = check_pollers(mapping); !pollers) return pollers;
  if (auto flow = gate::read_flow(mapping.tags); !flow) {
    return refuse(invalid(std::move(flow.error().message)));
  }
  if (ordered && mapping.batch_size > limits::mapping_fifo_items) {
    return refuse(invalid(fmt::format("Batch size must be between 1 and {} for FIFO queues.",
                                      limits::mapping_fifo_items)));
  }
  if (ordered && mapping.window_seconds > 0) {
    return refuse(invalid("Batching window is not supported for FIFO queues."));
  }
  if (mapping.batch_size > limits::mapping_fifo_items && mapping.window_seconds == 0) {
    return refuse(invalid(
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater "
        "than 10."));
  }
  if (mapping.filters.size() > limits::mapping_filters) {
    return refuse(
        invalid(fmt::format("Exceeded the limit of {} filters.", limits::mapping_filters)));
  }
  for (const auto& filter : mapping.filters) {
    auto pattern = wire::EventPattern::parse(filter);
    if (!pattern) {
      return refuse(
          invalid(fmt::format("Invalid filter pattern definition. {}.", pattern.error().message)));
    }
  }
  return {};
}

}  // namespace mayfly::lambda
