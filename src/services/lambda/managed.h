// Managed: functions on capacity providers (Lambda Managed Instances), and how many calls one
// environment runs at one time. This machine is the pool of instances, whatever a provider says.
//
// Rules and defaults: Lambda developer guide, "Lambda Managed Instances" and its pages on runtimes.
#pragma once

#include <optional>
#include <string_view>

#include "api/lambda.h"
#include "functions/model.h"
#include "services/lambda/errors.h"

namespace mayfly::lambda {

namespace model = api::lambda;

// The variable of a function that lets its environments run so many calls at one time without a
// capacity provider; a setting of this server, not of the cloud.
inline constexpr std::string_view max_concurrency_variable = "MAYFLY_MAX_CONCURRENCY";
inline constexpr std::string_view latest_published = "$LATEST.PUBLISHED";

inline bool is_managed(const functions::Version& version) {
  return !version.capacity_provider_arn.empty();
}

// Told to have no environment at all (PutFunctionScalingConfig).
inline bool is_deactivated(const functions::Version& version) {
  return version.environments_most == 0;
}

// "$LATEST.PUBLISHED" or a number; null: there is none.
functions::Version* published_of(functions::Function& function, const std::string& qualifier);

// Takes over what the request says.
ApiResult<void> apply_capacity(const model::CapacityProviderConfig& given,
                               functions::Version& version);
// What a function with several calls in an environment must and cannot be. `log_format`: as the
// request says, if it does. Gives it what it has by rule.
ApiResult<void> settle_managed(std::optional<std::string_view> log_format,
                               functions::Version& version);
std::optional<model::CapacityProviderConfig> describe_capacity(const functions::Version& version);

// 1 for ordinary functions.
int max_concurrency_of(const functions::Version& version);
// Processors of an environment, in thousandths; 0: by its memory, as ordinary functions have them.
int cpu_millis_of(const functions::Version& version);

}  // namespace mayfly::lambda
