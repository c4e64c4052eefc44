#include "services/sqs/policy.h"

#include "base/limits.h"
#include "guard/policy_document.h"

namespace mayfly::services::sqs {

namespace {

// What AddPermission may allow (API reference).
constexpr std::array<std::string_view, 12> grantable{"*",
                                                     "SendMessage",
                                                     "ReceiveMessage",
                                                     "DeleteMessage",
                                                     "ChangeMessageVisibility",
                                                     "GetQueueAttributes",
                                                     "GetQueueUrl",
                                                     "ListDeadLetterSourceQueues",
                                                     "PurgeQueue",
                                                     "DeleteQueue",
                                                     "SetQueueAttributes",
                                                     "ListQueueTags"};

// Texts that a statement's parts cannot be; the others become a policy.
ApiResult<void> check_grant(const std::vector<std::string_view>& accounts,
                            const std::vector<std::string_view>& actions) {
  for (auto account : accounts) {
    if (!guard::is_account(account)) {
      return invalid_value(account, "PrincipalId", "Unable to verify.");
    }
  }
  for (auto action : actions) {
    if (std::ranges::find(grantable, action) == grantable.end()) {
      return invalid_value(fmt::format("SQS:{}", action), "ActionName",
                           "Please refer to the appropriate WSDL for a list of valid actions.");
    }
  }
  if (accounts.empty()) return missing_parameter("AWSAccountIds");
  if (actions.empty()) return missing_parameter("Actions");
  return {};
}

Refusal refusal_of(const Error& error, std::string_view label) {
  switch (error.kind) {
    case ErrorKind::already_exists: return invalid_value(label, "Label", "Already exists.");
    case ErrorKind::not_found:
      return invalid_value(label, "Label", "can't find label on existing policy.");
    case ErrorKind::too_large: return Refusal(model::over_limit(error.message));
    default: return bad_attribute("Policy", error.message);
  }
}

}  // namespace

ApiResult<std::vector<guard::PolicyStatement>> read_policy(std::string_view document) {
  auto read = guard::read_policy(document);
  if (!read) return bad_attribute("Policy", read.error().message);
  return *std::move(read);
}

ApiResult<std::string> with_permission(const std::string& document, std::string_view arn,
                                       std::string_view label,
                                       const std::vector<std::string_view>& accounts,
                                       const std::vector<std::string_view>& actions) {
  TRY(check_grant(accounts, actions));
  std::string id = fmt::format("{}/SQSDefaultPolicy", arn);
  guard::Grant grant{.id = id,
                     .label = label,
                     .accounts = accounts,
                     .actions = {},
                     .resource = arn,
                     .statements_max = limits::sqs_policy_statements};
  for (auto action : actions) grant.actions.push_back(fmt::format("SQS:{}", action));
  auto done = guard::with_permission(document, grant);
  if (!done) return refusal_of(done.error(), label);
  return *std::move(done);
}

ApiResult<std::string> without_permission(const std::string& document, std::string_view label) {
  auto done = guard::without_permission(document, label);
  if (!done) return refusal_of(done.error(), label);
  return *std::move(done);
}

}  // namespace mayfly::services::sqs
