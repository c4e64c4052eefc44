#include "services/identity/service.h"

#include "api/sts.h"

namespace mayfly::services::identity {

namespace {

io::Task<api::ApiResult<wire::Record>> get_caller_identity(api::Call& call, wire::Record) {
  api::sts::GetCallerIdentityResponse out;
  out.set_user_id(call.caller.user_id)
      .set_account(call.caller.account.str())
      .set_arn(call.caller.arn);
  co_return std::move(out).take();
}

}  // namespace

api::Service make_identity_service(Deps) {
  api::Service service;
  service.model = &api::sts::model;
  service.handlers.emplace("GetCallerIdentity", get_caller_identity);
  return service;
}

}  // namespace mayfly::services::identity
