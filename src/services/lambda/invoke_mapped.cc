// What event source mappings need of the rest of the service.
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

std::unique_ptr<EventSources> Service::make_sources() {
  return std::make_unique<EventSources>(EventSources::Deps{
      .loop = deps_.loop,
      .random = deps_.random,
      .mappings = *deps_.mappings,
      .switchboard = *deps_.switchboard,
      .named = [this](const Call& call,
                      std::optional<std::string_view> name) { return named(call, name); },
      .timeout_seconds = [this](const FunctionRef& ref) -> ApiResult<int> {
        TRY_ASSIGN(const Version* version, require_version(ref));
        if (version->per_tenant) return refuse(no_tenants_with("An event source mapping"));
        return version->timeout_seconds;
      },
      .invoke = [this](FunctionRef ref,
                       pump::Call call) { return invoke_mapped(std::move(ref), std::move(call)); },
      .may_run = [this](std::string_view key) { return deps_.invoker.breaker_lets(key); },
      .hold_effects =
          [this](const FunctionRef& ref) {
            auto version = require_version(ref);
            return version && is_exactly_once(**version);
          },
      .count = deps_.count_mapped});
}

io::Task<Result<events::Outcome>> Service::invoke_mapped(FunctionRef ref, pump::Call call) {
  auto chain = follow_chain(ref, call.trace_header);
  if (!chain) co_return fail(ErrorKind::denied, std::move(chain.error().message));
  auto ready = co_await prepare(ref, no_deadline);
  if (!ready) co_return fail(ErrorKind::unavailable, std::move(ready.error().message));
  events::Event event;
  event.id = RequestId(deps_.random.uuid4());
  event.payload = std::move(call.payload);
  event.trace_header = *std::move(chain);
  invoke::Request request{.event = std::move(event),
                          .invoked_arn = ready->invoked_arn,
                          .effects = std::move(call.effects)};
  co_return co_await deps_.invoker.invoke(std::move(ready->runnable), std::move(request));
}

}  // namespace mayfly::lambda
