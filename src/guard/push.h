// Whether a resource may push to another on its own behalf: as the role that it was given, or, by
// the target's resource policy, as the service it belongs to.
#pragma once

#include "events/target.h"
#include "guard/guard.h"

namespace mayfly::guard {

// The sender as a caller: a session of its role, named after the service, or the service itself.
api::Caller caller_of(const events::Sender& sender);

// Kind denied, with the text of AccessDenied.
Result<> may_push(Guard& guard, const events::Sender& sender, std::string_view action,
                  std::string_view target_arn);

}  // namespace mayfly::guard
