// Caller: who makes a call, established once by guard/ and passed along as a value.
#pragma once

#include <string>

#include "base/ids.h"

namespace mayfly::api {

struct Caller {
  enum class Kind { anonymous, root, user, role_session, service };
  Kind kind = Kind::anonymous;
  AccountId account;
  // "arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:assumed-role/ROLE/SESSION" …
  std::string arn;
  // Unique id as sts:GetCallerIdentity answers it in UserId.
  std::string user_id;
  std::string access_key_id;
  std::string source_ip;
};

}  // namespace mayfly::api
