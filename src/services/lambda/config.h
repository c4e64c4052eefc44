// Config: a function's configuration between the API's shapes and functions::Version.
#pragma once

#include <string>

#include "api/lambda.h"
#include "functions/model.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

namespace model = api::lambda;

// Takes over what the request sets; the rest stays. Layers are the caller's to resolve.
ApiResult<void> apply(const model::CreateFunctionRequest& in, functions::Version& version);
ApiResult<void> apply(const model::UpdateFunctionConfigurationRequest& in,
                      functions::Version& version);

// As Get, Create, Update answer it; lists leave out the state (with_state false).
model::FunctionConfiguration describe(const functions::Version& version, const std::string& arn,
                                      bool with_state);

std::string_view state_name(functions::State state);

// While $LATEST has its runtime chosen by hand, neither that nor the architecture changes
// (developer guide, "Rolling back a Lambda runtime version").
ApiResult<void> check_manual_runtime(const functions::Version& before,
                                     const functions::Version& after);
// Any role of the function's own account will do until identity is built whole.
ApiResult<void> check_role(std::string_view role, const AccountId& account);

// Developer guide, "Code signing": images are not.
ApiResult<void> check_can_be_signed(const functions::Version& version);
// An access point belongs to the account and region of its functions.
ApiResult<void> check_file_systems(const std::vector<model::FileSystemConfig>& given,
                                   const Scope& scope);

// base64 SHA-256 over everything that makes one version differ from another, code excepted.
std::string config_digest(const functions::Version& version);

}  // namespace mayfly::lambda
