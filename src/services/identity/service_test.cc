#include "services/identity/service.h"

#include <doctest/doctest.h>

#include "api/sts.h"
#include "io/loop.h"
#include "sim/manual_clock.h"

using namespace mayfly;

TEST_CASE("GetCallerIdentity answers the caller's account, ARN and id") {
  sim::ManualClock clock;
  io::Loop loop(clock);
  auto service = services::identity::make_identity_service({});
  REQUIRE(service.model->name == "sts");
  const api::Operation* operation = nullptr;
  for (const auto& row : service.model->operations) {
    if (row.name == "GetCallerIdentity") operation = &row;
  }
  REQUIRE(operation != nullptr);
  CHECK(!operation->unsigned_allowed);
  api::Caller caller;
  caller.kind = api::Caller::Kind::role_session;
  caller.account = AccountId("123456789012");
  caller.arn = "arn:aws:sts::123456789012:assumed-role/app/f";
  caller.user_id = "AROAX:f";
  api::Call call{.operation = *operation,
                 .caller = caller,
                 .scope = {},
                 .request_id = {},
                 .host = "localhost"};
  auto answer = loop.run_until(service.handlers.at("GetCallerIdentity")(call, {}));
  REQUIRE(answer.has_value());
  api::sts::GetCallerIdentityResponse out(std::move(*answer));
  CHECK(out.account() == "123456789012");
  CHECK(out.arn() == caller.arn);
  CHECK(out.user_id() == "AROAX:f");
}
