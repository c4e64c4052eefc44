// QueueFeed: a queue as a Feed: its messages as the records that functions get, taken as a receive
// takes them, for the queue's own visibility timeout. While there is no such queue it is empty; one
// that gets the name later is the feed's from then on.
//
// Loop thread.
#pragma once

#include "events/switchboard.h"
#include "services/sqs/queues.h"

namespace mayfly::services::sqs {

class QueueFeed final : public events::Feed {
 public:
  QueueFeed(Queues& queues, QueueRef ref) : queues_(queues), ref_(std::move(ref)) {}

  Result<events::Taken> take(std::size_t most, std::size_t max_bytes) override;
  Result<std::int64_t> extend(std::string_view handle) override;
  io::Task<Result<>> acknowledge(std::vector<std::string> handles) override;
  std::shared_ptr<events::Effects> begin() override;
  std::uint64_t watch(std::function<void()> arrival) override {
    return queues_.watch(ref_, std::move(arrival));
  }
  void unwatch(std::uint64_t id) override { queues_.unwatch(id); }

 private:
  std::unexpected<Error> gone() const;

  Queues& queues_;
  QueueRef ref_;
};

// For the Switchboard.
events::Source source_of(Queues& queues, std::string_view arn);

// {"messageId":…,"receiptHandle":…,"body":…,"attributes":…,"messageAttributes":…,"md5OfBody":…,
//  "eventSource":"aws:sqs","eventSourceARN":…,"awsRegion":…} (Lambda developer guide, "Using Lambda
// with Amazon SQS").
std::string record_of(const Received& got, const QueueRef& queue);

}  // namespace mayfly::services::sqs
