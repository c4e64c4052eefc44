// FunctionTarget: what other resources push to functions: topics, rules, schedules, ended
// asynchronous calls. Pushed means queued durably as an asynchronous event; with Delivery::wait the
// function is run at once and its Outcome answered.
//
// Loop thread. Owned by Service.
#pragma once

#include "events/target.h"

namespace mayfly::lambda {

class Service;

class FunctionTarget final : public events::Target {
 public:
  explicit FunctionTarget(Service& service) : service_(service) {}

  Result<> check(std::string_view arn, const events::Sender& sender) override;
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override;

 private:
  Service& service_;
};

}  // namespace mayfly::lambda
