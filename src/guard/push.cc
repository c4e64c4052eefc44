#include "guard/push.h"

#include "guard/policy.h"

namespace mayfly::guard {

api::Caller caller_of(const events::Sender& sender) {
  api::Caller out;
  if (sender.role_arn.empty()) {
    out.kind = api::Caller::Kind::service;
    out.account = sender.account;
    out.arn = sender.service;
    return out;
  }
  std::string_view role = sender.role_arn;
  std::string_view account = account_of(role);
  std::string session = sender.service.substr(0, sender.service.find('.'));
  out.kind = api::Caller::Kind::role_session;
  out.account = AccountId(std::string(account));
  out.arn = fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", account,
                        role.substr(role.rfind('/') + 1), session);
  return out;
}

Result<> may_push(Guard& guard, const events::Sender& sender, std::string_view action,
                  std::string_view target_arn) {
  api::Caller caller = caller_of(sender);
  auto decision =
      guard.authorize({.caller = caller,
                       .action = action,
                       .resource = target_arn,
                       .resource_account = AccountId(std::string(account_of(target_arn))),
                       .source_arn = sender.source_arn,
                       .function_url_auth_type = {}});
  if (decision.allowed) return {};
  return fail(ErrorKind::denied, std::move(decision.reason));
}

}  // namespace mayfly::guard
