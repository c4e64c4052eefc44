// CORS of function URLs: kept as JSON with the URL, answered as a view, applied to requests.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/lambda.h"
#include "services/lambda/errors.h"
#include "services/lambda/raw.h"

namespace mayfly::lambda {

ApiResult<std::string> cors_json(const api::lambda::Cors& cors);
api::lambda::Cors cors_view(const std::string& json);

// Whether the URL has rules of its own; else the function answers for itself, preflights as well.
bool has_cors(const std::string& json);
// The headers a browser's request gets; empty where the origin is not allowed.
std::vector<std::pair<std::string, std::string>> cors_headers(const std::string& json,
                                                              const RawRequest& request);
// The answer to a preflight; nullopt for any other request. The function never sees preflights.
std::optional<RawResponse> preflight(const std::string& json, const RawRequest& request);

}  // namespace mayfly::lambda
