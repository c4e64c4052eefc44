// Invoke, and its deprecated asynchronous elder.
#include "base/log.h"
#include "services/lambda/invoke_input.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

Service::Answer Service::invoke(Call& call, Record input) {
  model::InvocationRequest in(std::move(input));
  if (in.durable_execution_name()) co_return refuse(unbuilt("DurableExecutionName"));
  std::string type(in.invocation_type().value_or("RequestResponse"));
  std::string_view payload = in.payload().value_or("");
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name(), in.qualifier()));
  CO_TRY(check_size(ref, type == "Event" ? Kept::async : Kept::sync, payload.size(),
                    "InvokeFunction"));
  CO_TRY(require_qualifier(ref));
  CO_TRY(check_tenant(ref, in.tenant_id()));
  if (!payload.empty()) {
    CO_TRY(check_payload(payload));
  }
  events::Event event;
  event.id = call.request_id;
  // A call without a payload hands the function an empty object.
  event.payload = payload.empty() ? "{}" : std::string(payload);
  CO_TRY_ASSIGN(event.client_context, read_client_context(in.client_context()));
  event.deadline = call.deadline;
  event.tenant_id = in.tenant_id().value_or("");
  CO_TRY_ASSIGN(event.trace_header, follow_chain(ref, call.trace_header));
  model::InvocationResponse out;
  if (type == "DryRun") {
    out.set_status_code(204);
    co_return std::move(out).take();
  }
  if (type == "Event") co_return co_await invoke_event(std::move(ref), std::move(event));
  if (type != "RequestResponse") {
    co_return refuse(
        constraint(type, "invocationType",
                   "Member must satisfy enum value set: [RequestResponse, Event, DryRun]"));
  }
  auto ready = prepared(ref);
  if (!ready) {
    CO_TRY_ASSIGN(ready, co_await prepare(std::move(ref), call.deadline));
  }
  invoke::Request request{.event = std::move(event),
                          .invoked_arn = std::move(ready->invoked_arn),
                          .want_log_tail = in.log_type().value_or("") == "Tail",
                          .caller = calling_function(call)};
  std::string version = ready->version;
  auto outcome = co_await invoke_or_fall_back(*std::move(ready), std::move(request));
  if (!outcome) co_return refuse(platform_error(outcome.error()));
  out.set_status_code(200);
  out.set_executed_version(outcome->executed_version.empty() ? version : outcome->executed_version);
  if (outcome->kind == events::Outcome::Kind::function_error) {
    out.set_function_error(outcome->error_class.empty() ? "Unhandled" : outcome->error_class);
  }
  if (in.log_type().value_or("") == "Tail") out.set_log_result(base64(outcome->log_tail));
  out.set_payload(std::move(outcome->payload));
  co_return std::move(out).take();
}

io::Task<Result<events::Outcome>> Service::invoke_or_fall_back(Invocation ready,
                                                               invoke::Request request) {
  const auto& breaker = ready.runnable->breaker;
  if (!breaker || breaker->fallback.empty()) {
    return deps_.invoker.invoke(std::move(ready.runnable), std::move(request));
  }
  return invoke_with_fallback(std::move(ready), std::move(request));
}

io::Task<Result<events::Outcome>> Service::invoke_with_fallback(Invocation ready,
                                                                invoke::Request request) {
  auto fallback = ready.runnable->breaker->fallback;
  Scope scope = ready.runnable->scope;
  invoke::Request again = request;
  auto outcome = co_await deps_.invoker.invoke(std::move(ready.runnable), std::move(request));
  if (outcome || outcome.error().reason != gate::circuit_open) co_return outcome;
  auto ref = parse_function(fallback, "", scope);
  if (!ref) co_return outcome;  // it was read once when it was set
  auto other = co_await prepare(*ref, again.event.deadline);
  if (!other) {
    log::warn("lambda", "the fallback {} cannot run: {}", fallback, other.error().message);
    co_return outcome;
  }
  again.invoked_arn = other->invoked_arn;
  co_return co_await deps_.invoker.invoke(std::move(other->runnable), std::move(again));
}

const Bounds& Service::bounds_for(const FunctionRef& ref) const {
  auto version = require_version(ref);
  return version ? bounds_of(**version) : bounds_of(false);
}

// Hardly any event is beyond the cloud's limits: the function is looked at for those alone.
ApiResult<void> Service::check_size(const FunctionRef& ref, Kept kept, std::size_t bytes,
                                    std::string_view operation) const {
  auto most = [kept](const Bounds& bounds) {
    return kept == Kept::async ? bounds.async_payload_bytes : bounds.sync_payload_bytes;
  };
  if (bytes <= most(bounds_of(false)) || bytes <= most(bounds_for(ref))) return {};
  return refuse(too_large(most(bounds_for(ref)), operation));
}

ApiResult<void> Service::check_tenant(const FunctionRef& ref,
                                      std::optional<std::string_view> tenant_id) const {
  const Function* function = deps_.registry.find(ref.scope, ref.name);
  if (!function || function->latest.per_tenant == tenant_id.has_value()) return {};
  return refuse(invalid(
      tenant_id ? "The invoked function is not enabled with tenancy configuration. Remove the "
                  "tenant ID from your request and try again."
                : "The invoked function is enabled with tenancy configuration. Add a valid tenant "
                  "ID in your request and try again."));
}

Service::Answer Service::invoke_event(FunctionRef ref, events::Event event) {
  // Its caller has gone by the time it runs.
  event.deadline = no_deadline;
  invoke::AsyncEvent entry{.scope = std::move(ref.scope),
                           .name = std::move(ref.name),
                           .qualifier = std::move(ref.qualifier),
                           .event = std::move(event)};
  auto queued = co_await deps_.invoker.enqueue(std::move(entry));
  if (!queued) co_return refuse(platform_error(queued.error()));
  model::InvocationResponse out;
  out.set_status_code(202);
  co_return std::move(out).take();
}

Service::Answer Service::invoke_async(Call& call, Record input) {
  model::InvokeAsyncRequest in(std::move(input));
  std::string_view payload = in.invoke_args().value_or("");
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY(check_size(ref, Kept::async, payload.size(), "InvokeAsync"));
  CO_TRY(require_qualifier(ref));
  CO_TRY(check_tenant(ref, std::nullopt));
  CO_TRY(check_payload(payload));
  events::Event event;
  event.id = call.request_id;
  event.payload = payload;
  CO_TRY_ASSIGN(event.trace_header, follow_chain(ref, call.trace_header));
  CO_TRY(co_await invoke_event(std::move(ref), std::move(event)));
  model::InvokeAsyncResponse out;
  out.set_status(202);
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
