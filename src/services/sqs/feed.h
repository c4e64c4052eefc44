// QueueFeed: a queue as a Feed: its messages as the records that functions get, taken as a receive
// takes them, for the queue's own visibility timeout.
//
// Loop thread.
#pragma once

#include "events/switchboard.h"
#include "services/sqs/queues.h"

namespace mayfly::services::sqs {

class QueueFeed final : public events::Feed {
 public:
  explicit QueueFeed(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}

  Result<events::Taken> take(std::size_t most, std::size_t max_bytes) override;
  io::Task<Result<>> acknowledge(std::vector<std::string> handles) override;
  std::uint64_t watch(std::function<void()> arrival) override {
    return queue_->watch(std::move(arrival));
  }
  void unwatch(std::uint64_t id) override { queue_->unwatch(id); }

 private:
  std::shared_ptr<Queue> queue_;
};

// For the Switchboard.
events::Source source_of(const Queues& queues, std::string_view arn);

// {"messageId":…,"receiptHandle":…,"body":…,"attributes":…,"messageAttributes":…,"md5OfBody":…,
//  "eventSource":"aws:sqs","eventSourceARN":…,"awsRegion":…} (Lambda developer guide, "Using Lambda
// with Amazon SQS").
std::string record_of(const Received& got, const QueueRef& queue);

}  // namespace mayfly::services::sqs
