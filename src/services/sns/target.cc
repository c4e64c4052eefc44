#include "services/sns/target.h"

#include "guard/push.h"
#include "services/sns/accept.h"

namespace mayfly::services::sns {

namespace {

std::unexpected<Error> gone(std::string_view arn) {
  return fail(ErrorKind::not_found, fmt::format("there is no topic {}", arn));
}

}  // namespace

Result<> TopicTarget::check(std::string_view arn, const events::Sender& sender) {
  if (!topics_.find(arn)) return gone(arn);
  return guard::may_push(guard_, sender, "sns:Publish", arn);
}

io::Task<Result<events::Outcome>> TopicTarget::push(events::Delivery delivery) {
  auto topic = topics_.find(delivery.arn);
  if (!topic) co_return gone(delivery.arn);
  CO_TRY(guard::may_push(guard_, delivery.sender, "sns:Publish", delivery.arn));
  Message message;
  message.body = std::move(delivery.payload);
  message.subject = std::move(delivery.subject);
  message.attributes = std::move(delivery.attributes);
  message.group = std::move(delivery.group_id);
  message.deduplication = std::move(delivery.deduplication_id);
  message.trace = std::move(delivery.trace_header);
  if (auto good = accept(*topic, message); !good) {
    co_return fail(ErrorKind::invalid, std::move(good.error().message));
  }
  std::vector<Message> one;
  one.push_back(std::move(message));
  auto done = co_await publisher_.publish(topic, std::move(one));
  if (!done) co_return std::unexpected(std::move(done.error()));
  co_return events::Outcome{};
}

}  // namespace mayfly::services::sns
