// Policy: resource policy statements as text, in the words and the order of the cloud.
#pragma once

#include <string>
#include <vector>

#include "functions/model.h"
#include "guard/guard.h"

namespace mayfly::lambda {

inline constexpr std::size_t policy_bytes = 20'480;

// True for "*", an account id, an ARN, or a service's name.
bool valid_principal(std::string_view principal);
std::string statement_json(const functions::Permission& permission, std::string_view resource);
std::string policy_json(const std::vector<functions::Permission>& permissions,
                        std::string_view resource);
guard::PolicyStatement guard_statement(const functions::Permission& permission,
                                       std::string_view resource);

}  // namespace mayfly::lambda
