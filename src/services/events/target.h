// EventTarget: buses as targets of what other resources push.
//
// What another rule passes on (its sender is this service) is a whole event, and stays as it is; of
// all others the payload becomes the detail of a new event, and attributes say the rest:
//
//   "source", "detail-type"   texts
//   "resources"               a JSON array of texts
//   "time"                    ISO 8601, or absent: now
//   "hops"                    from bus to bus, of rules
//
// API destinations are targets too (of pipes; rules call them by themselves): the payload is the
// body of a request, attributes its parameters: "path" (each fills one '*'), "header.NAME",
// "query.NAME". With Delivery::wait the body of the answer is the Outcome's payload.
//
// Loop thread. Outlives the Switchboard's pushes.
#pragma once

#include "events/target.h"
#include "guard/guard.h"
#include "services/events/router.h"

namespace mayfly::services::bus {

class EventTarget final : public events::Target {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    Config& config;
    Router& router;
    guard::Guard& guard;
    HttpTargets& http;
  };
  explicit EventTarget(Deps deps) : deps_(deps) {}

  Result<> check(std::string_view arn, const events::Sender& sender) override;
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override;

 private:
  io::Task<Result<events::Outcome>> call(events::Delivery delivery);
  Result<BusRef> allowed(std::string_view arn, const events::Sender& sender) const;
  Deps deps_;
};

}  // namespace mayfly::services::bus
