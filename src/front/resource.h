// The resource an operation acts on, from its row's template and its input.
#pragma once

#include <string>

#include "api/operation.h"

namespace mayfly::front {

struct Resource {
  std::string arn;    // "*" where the action has none
  AccountId account;  // owner: from the ARN, else the caller's
};

// Template syntax: api/operation.h. A function may be named by an ARN, by
// "ACCOUNT:function:NAME[:QUALIFIER]" or by "NAME:QUALIFIER"; all give the same resource.
Resource resource_of(const api::Operation& operation, const wire::Record& input,
                     const Scope& scope);
// The same by the service's own word, where it has one.
Resource resource_of(const api::Service& service, const api::Operation& operation,
                     const wire::Record& input, const Scope& scope);

}  // namespace mayfly::front
