// Tenant isolation: a function's environments belong to one tenant each, and their number is
// bounded, idle ones included. An idle one of another tenant gives way before a call is refused.
#include "invoke/pool.h"

namespace mayfly::invoke {

Result<> Pool::make_tenant_room(const Runnable& runnable) {
  if (!runnable.per_tenant) return {};
  int concurrency = runnable.reserved_concurrency.value_or(deps_.settings.account_concurrency);
  auto most = static_cast<std::size_t>(concurrency) *
              static_cast<std::size_t>(limits::tenant_environments_per_1000) / 1000;
  auto alive_now = [&] {
    return static_cast<std::size_t>(std::ranges::count_if(live_, [&](const auto& entry) {
      return entry.first->runnable().concurrency_key == runnable.concurrency_key;
    }));
  };
  while (alive_now() >= std::max<std::size_t>(most, 1)) {
    auto own = [&](const Runnable& other) {
      return other.concurrency_key == runnable.concurrency_key;
    };
    if (end_least_valuable(own)) continue;
    return fail(ErrorKind::throttled,
                fmt::format("{} has {} environments of tenants, and no idle one",
                            runnable.name.str(), alive_now()),
                "ConcurrentInvocationLimitExceeded");
  }
  return {};
}

}  // namespace mayfly::invoke
