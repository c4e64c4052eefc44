// QueueTarget: what other resources push to queues: topics, rules, schedules, ended asynchronous
// calls. Pushed means sent: on the disk.
//
// Loop thread. Outlives the Switchboard's pushes.
#pragma once

#include "events/target.h"
#include "guard/guard.h"
#include "services/sqs/queues.h"

namespace mayfly::services::sqs {

class QueueTarget final : public events::Target {
 public:
  QueueTarget(Queues& queues, guard::Guard& guard) : queues_(queues), guard_(guard) {}

  Result<> check(std::string_view arn, const events::Sender& sender) override;
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override;

 private:
  Queues& queues_;
  guard::Guard& guard_;
};

}  // namespace mayfly::services::sqs
