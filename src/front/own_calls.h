// OwnCalls: api::Calls over the same table that clients' requests are dispatched by, without their
// bytes: input out of JSON, constraints, authorization, handler.
//
// Filled before serving; loop thread; as long as the server.
#pragma once

#include "api/calls.h"
#include "api/operation.h"
#include "base/random.h"
#include "guard/guard.h"

namespace mayfly::front {

class OwnCalls final : public api::Calls {
 public:
  explicit OwnCalls(Random& random) : random_(random) {}
  // Before the first call.
  void set_guard(guard::Guard& guard) { guard_ = &guard; }
  void add(api::Service service);

  api::ApiResult<void> check(std::string_view service, std::string_view operation) const override;
  io::Task<api::ApiResult<wire::Record>> call(api::OwnCall call) override;
  io::Task<api::ApiResult<api::OwnStream>> open(api::OwnCall call) override;

 private:
  struct Found {
    const api::Service* service = nullptr;
    const api::Operation* operation = nullptr;
  };
  // Everything before the handler: the input is read and the caller may.
  struct Ready {
    const api::Handler* handler = nullptr;
    wire::Record input;
    std::unique_ptr<api::Call> call;
  };
  api::ApiResult<Ready> prepare(api::OwnCall own) const;
  api::ApiResult<Found> find(std::string_view service, std::string_view operation) const;

  Random& random_;
  guard::Guard* guard_ = nullptr;
  std::map<std::string, api::Service, std::less<>> services_;
};

}  // namespace mayfly::front
