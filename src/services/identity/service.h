// sts: who is calling. GetCallerIdentity is answered; every other operation of the table answers
// that it is not implemented.
#pragma once

#include "api/operation.h"

namespace mayfly::services::identity {

struct Deps {};

api::Service make_identity_service(Deps deps);

}  // namespace mayfly::services::identity
