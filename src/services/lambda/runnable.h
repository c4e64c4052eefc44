// Runnable: from a resolved function version to what invoke/ runs.
#pragma once

#include <filesystem>
#include <string>

#include "api/operation.h"
#include "functions/model.h"
#include "invoke/invoker.h"

namespace mayfly::lambda {

// A layer without content: what it would bring is part of this server.
inline bool is_built_in(const functions::LayerRef& layer) { return layer.package.sha256.empty(); }

// What reserved concurrency counts by, and what retire() names.
std::string concurrency_key(const Scope& scope, const FunctionName& name);
// The function that makes this call with its own credentials, by the same key; empty: somebody
// else.
std::string calling_function(const api::Call& call);
// Environments are shared while version, code and configuration are the same; those of a version
// with provisioned concurrency are initialised for that.
std::string pool_key(const Scope& scope, const functions::Version& version, bool provisioned);
// Environments that the configurations of a version and of aliases that lead to it ask for.
int provisioned_for(const functions::Function& function, std::string_view version);

// The circuit breaker that its environment asks for; nullptr: none. Kind invalid, with the reason.
Result<std::shared_ptr<const gate::BreakerSettings>> breaker_of(const functions::Version& version);

// What the function does is held back and committed with what it is invoked for.
bool is_exactly_once(const functions::Version& version);

// All that the function's configurations ask for.
int provisioned_in_sum(const functions::Function& function);

invoke::Runnable make_runnable(const functions::Function& function,
                               const functions::Version& version, std::filesystem::path code,
                               std::filesystem::path layers);

}  // namespace mayfly::lambda
