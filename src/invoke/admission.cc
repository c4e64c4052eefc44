#include "invoke/admission.h"

#include <algorithm>

namespace mayfly::invoke {
namespace {

// Functions that are remembered for their rates; those at rest go when there are more.
constexpr std::size_t functions_kept = 4'096;

// Reasons as the API model's ThrottleReason names them.
std::unexpected<Error> throttle(std::string_view reason) {
  return fail(ErrorKind::throttled, "Rate Exceeded.", std::string(reason));
}

}  // namespace

bool TokenBucket::take(double per_second, double most, WallTime now) {
  double tokens = tokens_.value_or(most);
  // The clock may have been set back.
  Duration passed = std::max(Duration::zero(), now - at_);
  tokens = std::min(most, tokens + per_second * std::chrono::duration<double>(passed).count());
  at_ = now;
  bool enough = tokens >= 1;
  tokens_ = enough ? tokens - 1 : tokens;
  return enough;
}

Admission::Function& Admission::function_of(const Runnable& runnable) {
  auto found = by_function_.find(runnable.concurrency_key);
  if (found != by_function_.end()) return found->second;
  if (by_function_.size() >= functions_kept) {
    WallTime rested = clock_.platform() - limits::scaling_period;
    std::erase_if(by_function_, [rested](const auto& entry) {
      const auto& function = entry.second;
      return function.running == 0 && function.requests.touched() < rested &&
             function.environments.touched() < rested;
    });
  }
  return by_function_[runnable.concurrency_key];
}

Admission::Account& Admission::account_of(const Scope& scope) {
  if (last_account_ == nullptr || last_account_->first != scope) {
    last_account_ = &*by_scope_.try_emplace(scope).first;
  }
  return last_account_->second;
}

Result<> Admission::request(const Scope& scope) { return take_request(account_of(scope)); }

Result<> Admission::take_request(Account& account) {
  double rate = settings_.requests_per_concurrency * settings_.account_concurrency;
  bool limited = settings_.requests_per_concurrency > 0;
  if (!limited || account.requests.take(rate, rate, clock_.platform())) return {};
  return throttle("CallerRateLimitExceeded");
}

Result<> Admission::take_requests(const Runnable& runnable, Function& function, Account& account) {
  double rate = settings_.requests_per_concurrency * runnable.reserved_concurrency.value_or(0);
  if (rate > 0 && !function.requests.take(rate, rate, clock_.platform())) {
    return throttle("ReservedFunctionInvocationRateLimitExceeded");
  }
  return take_request(account);
}

Result<Admission::Ticket> Admission::enter(const Runnable& runnable, InvocationType type) {
  Function& function = function_of(runnable);
  Account& account = account_of(runnable.scope);
  if (type == InvocationType::request_response) TRY(take_requests(runnable, function, account));
  const auto& reserved = runnable.reserved_concurrency;
  if (reserved && function.running >= *reserved) {
    return throttle("ReservedFunctionConcurrentInvocationLimitExceeded");
  }
  Ticket ticket = reserved ? Ticket::reserved : Ticket::shared;
  if (ticket == Ticket::shared && runnable.provisioned > 0) {
    int& covered = provisioned_[runnable.pool_key];
    if (covered < runnable.provisioned) {
      ++covered;
      ticket = Ticket::provisioned;
    }
  }
  if (ticket == Ticket::shared) {
    if (account.shared >= settings_.account_concurrency - account.reserved) {
      return throttle("ConcurrentInvocationLimitExceeded");
    }
    ++account.shared;
  }
  ++function.running;
  ++running_;
  return ticket;
}

Result<> Admission::grow(const Runnable& runnable) {
  double most = settings_.scaling_environments;
  double rate = most / std::chrono::duration<double>(limits::scaling_period).count();
  auto& bucket = function_of(runnable).environments;
  if (most <= 0 || bucket.take(rate, most, clock_.platform())) return {};
  return throttle("ConcurrentInvocationLimitExceeded");
}

void Admission::leave(const Runnable& runnable, Ticket ticket) {
  if (ticket == Ticket::shared) --account_of(runnable.scope).shared;
  if (ticket == Ticket::provisioned) {
    auto covered = provisioned_.find(runnable.pool_key);
    if (--covered->second == 0) provisioned_.erase(covered);
  }
  --by_function_.find(runnable.concurrency_key)->second.running;
  --running_;
}

int Admission::running(std::string_view concurrency_key) const {
  auto found = by_function_.find(concurrency_key);
  return found == by_function_.end() ? 0 : found->second.running;
}

}  // namespace mayfly::invoke
