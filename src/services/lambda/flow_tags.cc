// Tags of functions that are settings: flow control of their asynchronous events.
#include "base/log.h"
#include "gate/breaker.h"
#include "gate/flow.h"
#include "services/lambda/paging.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

ApiResult<void> check_function_tags(const std::map<std::string, std::string>& tags) {
  if (auto good = check_tags(tags); !good) return good;
  if (tags.contains(std::string(gate::breaker_tag))) {
    return refuse(invalid(fmt::format(
        "The tag {} is for what pushes to targets; the circuit breaker of a function is {} in its "
        "environment.",
        gate::breaker_tag, gate::breaker_variable)));
  }
  auto flow = gate::read_flow(tags);
  if (!flow) return refuse(invalid(std::move(flow.error().message) + "."));
  return {};
}

void Service::follow_flow(const Scope& scope, const FunctionName& name) {
  const Function* function = deps_.registry.find(scope, name);
  std::optional<invoke::FunctionFlow> out;
  auto flow = function ? gate::read_flow(function->tags) : std::optional<gate::FlowSettings>();
  if (!flow) {
    log::warn("lambda", "the events of {} go as they come: {}", name.str(), flow.error().message);
  } else if (*flow) {
    const auto& group = function->latest.log_group;
    out.emplace(
        invoke::FunctionFlow{.settings = **std::move(flow),
                             .max_age_seconds = {},
                             .log_group = group.empty() ? "/aws/lambda/" + name.str() : group});
    for (const auto& [qualifier, config] : function->event_configs) {
      if (config.max_age_seconds) out->max_age_seconds[qualifier] = *config.max_age_seconds;
    }
  }
  deps_.invoker.control_flow(scope, name, std::move(out));
}

}  // namespace mayfly::lambda
