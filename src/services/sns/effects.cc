#include "services/sns/effects.h"

#include "base/log.h"

namespace mayfly::services::sns {

io::Task<Result<>> TopicEffects::perform(std::string id, std::string record) {
  CO_TRY_ASSIGN(bool done, once_.done(id));
  if (done) co_return Result<>{};
  auto message = decode_message(record, 0);
  if (!message) {
    log::error("sns", "a message that was held back is lost: {}", message.error().message);
    co_return Result<>{};
  }
  auto topic = topics_.find(message->topic_arn);
  if (!topic) {
    log::info("sns", "message {} was held back until its topic was gone", message->id);
    co_return Result<>{};
  }
  store::Batch with;
  once_.note(id, with);
  std::vector<Message> one;
  one.push_back(*std::move(message));
  CO_TRY(co_await publisher_.publish(std::move(topic), std::move(one), std::move(with)));
  co_return Result<>{};
}

}  // namespace mayfly::services::sns
