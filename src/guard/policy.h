// Evaluation of resource policies: pure functions over statements.
#pragma once

#include "guard/guard.h"

namespace mayfly::guard {

// '*' any text, '?' one character.
bool glob_match(std::string_view pattern, std::string_view text);
// IAM's ArnLike: the six parts are compared each for itself, so a '*' does not reach over a colon
// (but in the last part it does).
bool arn_like(std::string_view pattern, std::string_view arn);

// Asks the owner of each service's resources, by the third part of the ARN. Filled before serving.
class PoliciesByService final : public ResourcePolicies {
 public:
  void add(std::string service, ResourcePolicies& owner) { owners_[std::move(service)] = &owner; }
  std::vector<PolicyStatement> statements(std::string_view resource_arn) override;
  bool may_deny(std::string_view resource_arn) override;

 private:
  std::map<std::string, ResourcePolicies*, std::less<>> owners_;
};

enum class Verdict { no_match, allow, deny };
// An explicit deny wins over every allow.
Verdict evaluate(std::span<const PolicyStatement> statements, const Question& question);

// The fifth part of an ARN, or empty.
std::string_view account_of(std::string_view arn);

// The resource is the caller's account's, which is enough where nothing denies it.
bool may_as_account(const Question& question);
Decision decide(std::span<const PolicyStatement> statements, const Question& question);

}  // namespace mayfly::guard
