#include "services/lambda/target.h"

#include "events/switchboard.h"
#include "guard/push.h"
#include "services/lambda/invoke_input.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

Result<> FunctionTarget::check(std::string_view arn, const events::Sender& sender) {
  auto ref = service_.pushed_to(arn, sender);
  if (!ref) return std::unexpected(std::move(ref.error()));
  return {};
}

io::Task<Result<events::Outcome>> FunctionTarget::push(events::Delivery delivery) {
  return service_.push(std::move(delivery));
}

Result<FunctionRef> Service::pushed_to(std::string_view arn, const events::Sender& sender) const {
  auto ref = parse_function(arn, "", events::scope_of_arn(arn));
  if (!ref) return fail(ErrorKind::invalid, std::move(ref.error().message));
  auto version = require_version(*ref);
  if (!version) return fail(ErrorKind::not_found, std::move(version.error().message));
  if ((*version)->per_tenant) {
    return fail(ErrorKind::invalid,
                fmt::format("{} isolates tenants, and what is pushed names none", arn));
  }
  TRY(guard::may_push(deps_.guard, sender, "lambda:InvokeFunction", arn));
  return *std::move(ref);
}

io::Task<Result<events::Outcome>> Service::push(events::Delivery delivery) {
  CO_TRY_ASSIGN(auto ref, pushed_to(delivery.arn, delivery.sender));
  if (auto fits = check_size(ref, delivery.wait ? Kept::sync : Kept::async, delivery.payload.size(),
                             "InvokeFunction");
      !fits) {
    co_return fail(ErrorKind::too_large, std::move(fits.error().message));
  }
  if (auto json = check_payload(delivery.payload); !json) {
    co_return fail(ErrorKind::invalid, std::move(json.error().message));
  }
  if (delivery.wait) {
    co_return co_await invoke_mapped(
        std::move(ref), {std::move(delivery.payload), std::move(delivery.trace_header), nullptr});
  }
  auto chain = follow_chain(ref, delivery.trace_header);
  if (!chain) co_return fail(ErrorKind::denied, std::move(chain.error().message));
  events::Event event;
  event.id = RequestId(deps_.random.uuid4());
  event.payload = std::move(delivery.payload);
  event.trace_header = *std::move(chain);
  CO_TRY(co_await deps_.invoker.enqueue({.scope = std::move(ref.scope),
                                         .name = std::move(ref.name),
                                         .qualifier = std::move(ref.qualifier),
                                         .event = std::move(event)}));
  co_return events::Outcome{};
}

}  // namespace mayfly::lambda
