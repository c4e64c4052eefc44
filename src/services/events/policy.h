// The policies of buses: the statements that PutPermission and RemovePermission add and take away
// (API reference, PutPermission). Documents are read by guard/policy_document.h.
//
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "services/events/errors.h"

namespace mayfly::services::bus {

struct Grant {
  std::string_view sid;
  std::string_view principal;  // account, or "*"
  std::string_view action;
  std::string_view organization;  // of aws:PrincipalOrgID, or empty
};
// In place of the statement with that id.
ApiResult<std::string> with_grant(std::string_view document, std::string_view bus_arn,
                                  const Grant& grant);
// Empty where nothing is left.
ApiResult<std::string> without_grant(std::string_view document, std::string_view sid);

}  // namespace mayfly::services::bus
