// Loops of functions: a chain of requests that comes to the same function again and again is ended,
// unless the function allows it.
#include "services/lambda/lineage.h"
#include "services/lambda/service.h"

namespace mayfly::lambda {

ApiResult<std::string> Service::follow_chain(const FunctionRef& ref,
                                             std::string_view header) const {
  std::string fresh;
  if (header.empty()) {
    fresh = fresh_trace(deps_.random, deps_.loop.clock().platform());
  }
  Hop hop = next_hop(header, ref.unqualified_arn(), fresh);
  if (hop.invocations <= limits::recursive_invocations) return std::move(hop.header);
  const Function* function = deps_.registry.find(ref.scope, ref.name);
  if (function && function->allow_recursion) return std::move(hop.header);
  return refuse(model::recursive_invocation_exception(
      fmt::format("{} was invoked {} times in this chain of requests, which looks like a loop and "
                  "is ended; PutFunctionRecursionConfig can allow it.",
                  ref.name.str(), limits::recursive_invocations)));
}

Service::Answer Service::put_function_recursion_config(Call& call, Record input) {
  model::PutFunctionRecursionConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  bool allow = in.recursive_loop().value_or("") == "Allow";
  CO_TRY(co_await change(ref, [allow](Function& function) -> ApiResult<void> {
    function.allow_recursion = allow;
    return {};
  }));
  model::PutFunctionRecursionConfigResponse out;
  out.set_recursive_loop(allow ? "Allow" : "Terminate");
  co_return std::move(out).take();
}

Service::Answer Service::get_function_recursion_config(Call& call, Record input) {
  model::GetFunctionRecursionConfigRequest in(std::move(input));
  CO_TRY_ASSIGN(FunctionRef ref, named(call, in.function_name()));
  CO_TRY_ASSIGN(const Function* function, require(ref));
  model::GetFunctionRecursionConfigResponse out;
  out.set_recursive_loop(function->allow_recursion ? "Allow" : "Terminate");
  co_return std::move(out).take();
}

}  // namespace mayfly::lambda
