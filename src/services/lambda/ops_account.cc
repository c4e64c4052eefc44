// Account settings and reserved concurrency.
#include <set>

#include "base/limits.h"
#include "services/lambda/runnable.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

namespace {

// What the cloud gives every account for all code together.
constexpr std::int64_t total_code_bytes = 75ll * 1024 * 1024 * 1024;

int sum(const std::map<FunctionName, int>& reserved) {
  int out = 0;
  for (const auto& [name, concurrency] : reserved) out += concurrency;
  return out;
}

}  // namespace

void Service::note_reservation(const Scope& scope, const FunctionName& name) {
  const Function* function = deps_.registry.find(scope, name);
  int now = 0;
  if (function) now = function->reserved_concurrency.value_or(provisioned_in_sum(*function));
  auto& reserved = reserved_[scope];
  auto before = reserved.find(name);
  if (now == (before == reserved.end() ? 0 : before->second)) return;
  if (now == 0) {
    reserved.erase(before);
  } else {
    reserved[name] = now;
  }
  deps_.invoker.reserve(scope, sum(reserved));
}

Service::Answer Service::get_account_settings(Call& call, Record) {
  std::int64_t functions = 0;
  std::uint64_t bytes = 0;
  deps_.registry.for_each([&](const Function& function) {
    if (function.scope != call.scope) return;
    ++functions;
    function.for_each_version(
        [&bytes](const Version& version) { bytes += version.package.zip_bytes; });
  });
  deps_.registry.for_each_layer([&](const functions::LayerVersion& layer) {
    if (layer.scope == call.scope) bytes += layer.package.zip_bytes;
  });
  model::AccountLimit limit;
  limit.set_total_code_size(total_code_bytes);
  limit.set_code_size_unzipped(static_cast<std::int64_t>(limits::package_unzipped_bytes));
  limit.set_code_size_zipped(static_cast<std::int64_t>(limits::package_zip_bytes));
  limit.set_concurrent_executions(deps_.settings.account_concurrency);
  limit.set_unreserved_concurrent_executions(deps_.settings.account_concurrency -
                                             sum(reserved_[call.scope]));
  model::AccountUsage usage;
  usage.set_function_count(functions).set_total_code_size(static_cast<std::int64_t>(bytes));
  model::GetAccountSettingsResponse out;
  out.set_account_limit(limit).set_account_usage(usage);
  co_return std::move(out).take();
}

Service::Answer Service::put_function_concurrency(Call& call, Record input) {
  model::PutFunctionConcurrencyRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  if (!ref.qualifier.empty()) {
    co_return refuse(
        invalid("This operation is permitted on Lambda functions only. Aliases and "
                "versions do not support this operation. Please specify either a "
                "function name or an unqualified function ARN."));
  }
  CO_TRY_ASSIGN(const Function* function, require(ref));
  std::int64_t wanted = in.reserved_concurrent_executions().value_or(0);
  int provisioned = provisioned_in_sum(*function);
  if (wanted < provisioned) {
    co_return refuse(
        invalid(fmt::format("ReservedConcurrentExecutions  {} should not be lower than function's "
                            "total provisioned concurrency [{}].",
                            wanted, provisioned)));
  }
  std::int64_t others =
      sum(reserved_[ref.scope]) - function->reserved_concurrency.value_or(provisioned);
  std::int64_t left = deps_.settings.account_concurrency - others - wanted;
  if (wanted > 0 && left < deps_.settings.unreserved_concurrency_min) {
    co_return refuse(invalid(
        fmt::format("Specified ReservedConcurrentExecutions for function decreases account's "
                    "UnreservedConcurrentExecution below its minimum value of [{}].",
                    deps_.settings.unreserved_concurrency_min)));
  }
  CO_TRY(co_await change(ref, [wanted](Function& function) -> ApiResult<void> {
    function.reserved_concurrency = static_cast<int>(wanted);
    return {};
  }));
  model::Concurrency out;
  out.set_reserved_concurrent_executions(wanted);
  co_return std::move(out).take();
}

Service::Answer Service::get_function_concurrency(Call& call, Record input) {
  model::GetFunctionConcurrencyRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  model::GetFunctionConcurrencyResponse out;
  if (function->reserved_concurrency) {
    out.set_reserved_concurrent_executions(*function->reserved_concurrency);
  }
  co_return std::move(out).take();
}

Service::Answer Service::delete_function_concurrency(Call& call, Record input) {
  model::DeleteFunctionConcurrencyRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY(co_await change(ref, [](Function& function) -> ApiResult<void> {
    function.reserved_concurrency.reset();
    return {};
  }));
  co_return Record();
}

}  // namespace mayfly::lambda
