#include "guard/policy.h"

#include "wire/text.h"

namespace mayfly::guard {

namespace {

using Kind = api::Caller::Kind;

struct ArnParts {
  std::array<std::string_view, 6> part;
  bool whole = false;
};

ArnParts split_arn(std::string_view arn) {
  ArnParts out;
  for (std::size_t i = 0; i < 5; ++i) {
    std::size_t colon = arn.find(':');
    if (colon == std::string_view::npos) return out;
    out.part[i] = arn.substr(0, colon);
    arn.remove_prefix(colon + 1);
  }
  out.part[5] = arn;
  out.whole = true;
  return out;
}

bool is_account(std::string_view text) {
  return text.size() == 12 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "arn:aws:iam::A:role/path/NAME" names the sessions "arn:aws:sts::A:assumed-role/NAME/SESSION".
bool is_session_of(std::string_view role_arn, const api::Caller& caller) {
  if (caller.kind != Kind::role_session) return false;
  ArnParts role = split_arn(role_arn);
  ArnParts session = split_arn(caller.arn);
  if (!role.whole || !session.whole || !role.part[5].starts_with("role/")) return false;
  std::string_view name = role.part[5].substr(role.part[5].rfind('/') + 1);
  return role.part[4] == session.part[4] &&
         session.part[5].starts_with(fmt::format("assumed-role/{}/", name));
}

bool principal_matches(std::string_view principal, const api::Caller& caller) {
  if (principal == "*") return true;
  if (caller.kind == Kind::anonymous) return false;
  if (caller.kind == Kind::service) return principal == caller.arn;
  if (is_account(principal)) return principal == caller.account.str();
  if (principal == fmt::format("arn:aws:iam::{}:root", caller.account.str())) return true;
  return principal == caller.arn || is_session_of(principal, caller);
}

bool conditions_match(const PolicyStatement& statement, const Question& question) {
  if (!statement.source_arn.empty() && !arn_like(statement.source_arn, question.source_arn)) {
    return false;
  }
  if (!statement.source_account.empty()) {
    std::string_view account = account_of(question.source_arn);
    if (account.empty()) account = question.caller.account.str();
    if (account != statement.source_account) return false;
  }
  if (!statement.function_url_auth_type.empty() &&
      statement.function_url_auth_type != question.function_url_auth_type) {
    return false;
  }
  if (statement.invoked_via_function_url && question.function_url_auth_type.empty()) return false;
  // No caller of this server belongs to an organization or carries an event source token: a
  // condition on a key that is absent does not hold.
  return statement.principal_org_id.empty() && statement.event_source_token.empty();
}

bool statement_matches(const PolicyStatement& statement, const Question& question) {
  return principal_matches(statement.principal, question.caller) &&
         glob_match(wire::to_lower(statement.action), wire::to_lower(question.action)) &&
         (statement.resource.empty() || glob_match(statement.resource, question.resource)) &&
         conditions_match(statement, question);
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool arn_like(std::string_view pattern, std::string_view arn) {
  ArnParts want = split_arn(pattern);
  ArnParts have = split_arn(arn);
  if (!want.whole || !have.whole) return false;
  for (std::size_t i = 0; i < want.part.size(); ++i) {
    if (!glob_match(want.part[i], have.part[i])) return false;
  }
  return true;
}

std::string_view account_of(std::string_view arn) { return split_arn(arn).part[4]; }

std::vector<PolicyStatement> PoliciesByService::statements(std::string_view resource_arn) {
  auto owner = owners_.find(split_arn(resource_arn).part[2]);
  return owner == owners_.end() ? std::vector<PolicyStatement>()
                                : owner->second->statements(resource_arn);
}

bool PoliciesByService::may_deny(std::string_view resource_arn) {
  auto owner = owners_.find(split_arn(resource_arn).part[2]);
  return owner != owners_.end() && owner->second->may_deny(resource_arn);
}

Verdict evaluate(std::span<const PolicyStatement> statements, const Question& question) {
  Verdict out = Verdict::no_match;
  for (const auto& statement : statements) {
    if (!statement_matches(statement, question)) continue;
    if (!statement.allow) return Verdict::deny;
    out = Verdict::allow;
  }
  return out;
}

bool may_as_account(const Question& question) {
  const api::Caller& caller = question.caller;
  bool of_account =
      caller.kind == Kind::root || caller.kind == Kind::user || caller.kind == Kind::role_session;
  return of_account && caller.account == question.resource_account;
}

Decision decide(std::span<const PolicyStatement> statements, const Question& question) {
  const api::Caller& caller = question.caller;
  auto refused = [&](std::string_view why) {
    return Decision{false,
                    fmt::format("User: {} is not authorized to perform: {} on resource: {} {}",
                                caller.arn.empty() ? "anonymous" : caller.arn, question.action,
                                question.resource, why)};
  };
  Verdict verdict = evaluate(statements, question);
  if (verdict == Verdict::deny) return refused("with an explicit deny in a resource-based policy");
  if (verdict == Verdict::allow) return {true, {}};
  if (may_as_account(question)) return {true, {}};
  bool known = caller.kind != Kind::anonymous;
  return refused(fmt::format("because no {}-based policy allows the {} action",
                             known ? "resource" : "identity", question.action));
}

}  // namespace mayfly::guard
