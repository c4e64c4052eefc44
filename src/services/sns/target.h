// TopicTarget: what other resources push to topics: rules, schedules, ended asynchronous calls.
// Pushed means published: on the disk, with all that is to be delivered.
//
// Loop thread. Outlives the Switchboard's pushes.
#pragma once

#include "events/target.h"
#include "guard/guard.h"
#include "services/sns/publisher.h"

namespace mayfly::services::sns {

class TopicTarget final : public events::Target {
 public:
  TopicTarget(Topics& topics, Publisher& publisher, guard::Guard& guard)
      : topics_(topics), publisher_(publisher), guard_(guard) {}

  Result<> check(std::string_view arn, const events::Sender& sender) override;
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override;

 private:
  Topics& topics_;
  Publisher& publisher_;
  guard::Guard& guard_;
};

}  // namespace mayfly::services::sns
