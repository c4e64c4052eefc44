#include "services/sqs/target.h"

#include "guard/push.h"
#include "wire/hash.h"

namespace mayfly::services::sqs {

namespace {

std::unexpected<Error> gone(std::string_view arn) {
  return fail(ErrorKind::not_found, fmt::format("there is no queue {}", arn));
}

// As a client's: text without characters that XML has not, within the queue's size.
Result<> check_message(const Queue& queue, const Message& message) {
  std::size_t most = queue.info().settings.message_bytes;
  if (size_of(message) > most) {
    return fail(ErrorKind::too_large, fmt::format("a message of {} may have {} bytes, not {}",
                                                  queue.info().ref.arn(), most, size_of(message)));
  }
  if (message.body.empty()) return fail(ErrorKind::invalid, "a message must have a body");
  if (auto text = check_characters(message.body); !text) {
    return fail(ErrorKind::invalid, std::move(text.error().message));
  }
  return {};
}

// Order and deduplication, which only a FIFO queue has.
Result<> put_order(const Queue& queue, events::Delivery& from, Message& message) {
  message.group = std::move(from.group_id);
  if (!queue.fifo()) return {};
  message.deduplication = std::move(from.deduplication_id);
  if (message.group.empty()) {
    return fail(ErrorKind::invalid,
                fmt::format("{} needs a MessageGroupId", queue.info().ref.arn()));
  }
  if (!message.deduplication.empty()) return {};
  if (!queue.info().settings.content_deduplication) {
    return fail(ErrorKind::invalid,
                fmt::format("{} needs a MessageDeduplicationId, or ContentBasedDeduplication",
                            queue.info().ref.arn()));
  }
  message.deduplication = wire::sha256_hex(message.body);
  return {};
}

}  // namespace

Result<> QueueTarget::check(std::string_view arn, const events::Sender& sender) {
  if (!queues_.find(arn)) return gone(arn);
  return guard::may_push(guard_, sender, "sqs:SendMessage", arn);
}

io::Task<Result<events::Outcome>> QueueTarget::push(events::Delivery delivery) {
  auto queue = queues_.find(delivery.arn);
  if (!queue) co_return gone(delivery.arn);
  CO_TRY(guard::may_push(guard_, delivery.sender, "sqs:SendMessage", delivery.arn));
  Message message;
  message.body = std::move(delivery.payload);
  message.sender_id = delivery.sender.role_arn.empty() ? delivery.sender.service
                                                       : guard::caller_of(delivery.sender).arn;
  message.trace = std::move(delivery.trace_header);
  for (auto& one : delivery.attributes) {
    message.attributes.push_back({std::move(one.name), std::move(one.type), std::move(one.value)});
  }
  CO_TRY(put_order(*queue, delivery, message));
  CO_TRY(check_message(*queue, message));
  if (auto delay = queue->info().settings.delay_ms; delay > 0) {
    // By platform time, as the queue's own.
    message.delayed_until_ms = queue->now_ms() + delay;
  }
  std::vector<Message> one;
  one.push_back(std::move(message));
  auto sent = co_await queue->send(std::move(one));
  if (!sent) co_return std::unexpected(std::move(sent.error()));
  co_return events::Outcome{};
}

}  // namespace mayfly::services::sqs
