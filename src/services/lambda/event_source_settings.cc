#include "services/lambda/event_source_settings.h"

#include "base/limits.h"
#include "wire/event_pattern.h"

namespace mayfly::lambda {

namespace {

// For streams and brokers alone (API reference, CreateEventSourceMapping).
constexpr std::array<std::string_view, 15> not_of_queues{"StartingPosition",
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
                                                         "DocumentDBEventSourceConfig"};

constexpr std::array<std::string_view, 4> not_built{"ProvisionedPollerConfig", "KMSKeyArn",
                                                    "MetricsConfig", "LoggingConfig"};

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

ApiResult<void> check_settings(const functions::Mapping& mapping, bool ordered) {
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
