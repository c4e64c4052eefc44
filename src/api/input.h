// What is asked of a decoded input before its handler reads it: the members that name the resource,
// and those that must be there, for services that word that themselves (Service::checks_input).
#pragma once

#include <string>
#include <string_view>

#include "api/operation.h"

namespace mayfly::api {

// Empty where the member is absent, no text, or not of this operation.
std::string text_of(const wire::Record& input, std::string_view member);

// The first member that the model requires and that is not there; empty: all are.
std::string_view missing_member(const Operation& operation, const wire::Record& input);

// The handler, or, where a member is missing, what `refuse` says of it.
Handler requiring_members(Handler handler, std::unexpected<ApiError> (*refuse)(std::string_view));

}  // namespace mayfly::api
