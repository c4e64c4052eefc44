// Of a Cloud: what the services count becomes series at /_mayfly/metrics
// (docs/reference/metrics.md).
#include "mayfly/cloud.h"
#include "services/events/service.h"
#include "services/lambda/names.h"

namespace mayfly {

// CloudWatch's SignatureValidationErrors.
std::function<void(const Scope&, const FunctionName&, functions::SigningPolicy)>
Cloud::count_unsigned() {
  auto& family =
      metrics_.counter("mayfly_signature_validation_errors_total",
                       "Deployments of code without a valid signature, let pass or refused.",
                       {"account", "region", "function", "policy"});
  return [&family](const Scope& scope, const FunctionName& name, functions::SigningPolicy policy) {
    bool enforce = policy == functions::SigningPolicy::enforce;
    family.with({scope.account.str(), scope.region.str(), name.str(), enforce ? "Enforce" : "Warn"})
        .add();
  };
}

// CloudWatch's metrics of event source mappings.
std::function<void(const lambda::FunctionRef&, const std::string&, pump::Step, std::size_t)>
Cloud::count_mapped() {
  auto& family = metrics_.counter("mayfly_event_source_mapping_items_total",
                                  "Items of event source mappings that ask for EventCount, by what "
                                  "became of them.",
                                  {"account", "region", "function", "mapping", "metric"});
  return [&family](const lambda::FunctionRef& ref, const std::string& id, pump::Step step,
                   std::size_t items) {
    static constexpr std::string_view names[] = {"PolledEventCount",  "FilteredOutEventCount",
                                                 "InvokedEventCount", "FailedInvokeEventCount",
                                                 "DeletedEventCount", "DroppedEventCount"};
    family
        .with({ref.scope.account.str(), ref.scope.region.str(), ref.name.str(), id,
               std::string(names[static_cast<std::size_t>(step)])})
        .add(static_cast<double>(items));
  };
}

services::sqs::CountStep Cloud::count_queues() {
  auto& family =
      metrics_.counter("mayfly_queue_messages_total",
                       "Messages of queues: sent, received, deleted; and receives that found none.",
                       {"account", "region", "queue", "step"});
  return
      [&family](const services::sqs::QueueRef& queue, services::sqs::Step step, std::size_t count) {
        family
            .with({queue.scope.account.str(), queue.scope.region.str(), queue.name,
                   services::sqs::name_of(step)})
            .add(static_cast<double>(count));
      };
}

services::scheduler::CountStep Cloud::count_schedules() {
  auto& family =
      metrics_.counter("mayfly_schedule_invocations_total",
                       "Attempts of schedules to invoke their targets, and what became of runs.",
                       {"account", "region", "group", "step"});
  return [&family](const services::scheduler::GroupRef& group, services::scheduler::Step step) {
    family
        .with({group.scope.account.str(), group.scope.region.str(), group.name,
               services::scheduler::name_of(step)})
        .add();
  };
}

services::bus::Counts Cloud::count_bus() {
  auto& family = metrics_.counter(
      "mayfly_bus_events_total",
      "Events of buses: published, matched, and what rules did with them and their targets.",
      {"account", "region", "bus", "rule", "step"});
  auto& started = metrics_.histogram("mayfly_bus_ingestion_to_invocation_seconds",
                                     "From an event's arrival to the first attempt at a target.",
                                     {"account", "region", "bus"},
                                     {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300});
  metrics_.gauge_function("mayfly_bus_deliveries_waiting", "Deliveries of rules not yet done",
                          [this] { return static_cast<double>(bus_->deliveries_waiting()); });
  metrics_.gauge_function("mayfly_effects_waiting",
                          "Effects of ended invocations not yet brought to topics and buses",
                          [this] { return static_cast<double>(queues_->carrier().waiting()); });
  return {.count =
              [&family](const services::bus::BusRef& bus, std::string_view rule,
                        services::bus::Step step) {
                family
                    .with({bus.scope.account.str(), bus.scope.region.str(), bus.name, rule,
                           services::bus::name_of(step)})
                    .add();
              },
          .started =
              [&started](const services::bus::BusRef& bus, double seconds) {
                started.with({bus.scope.account.str(), bus.scope.region.str(), bus.name})
                    .observe(seconds);
              }};
}

}  // namespace mayfly
