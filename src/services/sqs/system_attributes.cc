#include "services/sqs/system_attributes.h"

namespace mayfly::services::sqs {

std::map<std::string, std::string> system_attributes(const Received& got, bool fifo) {
  const auto& message = got.message;
  std::map<std::string, std::string> out{
      {"SenderId", message.sender_id},
      {"SentTimestamp", fmt::format("{}", message.sent_ms)},
      {"ApproximateReceiveCount", fmt::format("{}", got.receives)},
      {"ApproximateFirstReceiveTimestamp", fmt::format("{}", got.first_ms)}};
  auto put = [&out](std::string_view name, const std::string& value) {
    if (!value.empty()) out.emplace(name, value);
  };
  put("MessageGroupId", message.group);
  put("AWSTraceHeader", message.trace);
  put("DeadLetterQueueSourceArn", message.source_arn);
  if (fifo) {
    put("SequenceNumber", sequence_text(message.seq));
    put("MessageDeduplicationId", message.deduplication);
  }
  return out;
}

}  // namespace mayfly::services::sqs
