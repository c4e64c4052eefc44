// BucketTarget: what other resources put into buckets: records of failed asynchronous calls. The
// key is Delivery::subject. Pushed means stored: on the disk, with its notifications.
//
// Loop thread. Outlives the Switchboard's pushes.
#pragma once

#include "events/target.h"
#include "services/s3/service.h"

namespace mayfly::services::s3 {

class BucketTarget final : public events::Target {
 public:
  explicit BucketTarget(const Deps& deps) : deps_(deps) {}

  Result<> check(std::string_view arn, const events::Sender& sender) override;
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override;

 private:
  Deps deps_;
};

}  // namespace mayfly::services::s3
