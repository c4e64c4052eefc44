// TopicEffects: messages that functions with exactly-once effects published: held back with what
// else their invocation did, and published when that has ended well.
//
// Rows: once/ID → an effect that was done. Loop thread; as long as the Publisher.
#pragma once

#include "events/effects.h"
#include "services/sns/publisher.h"
#include "store/once.h"

namespace mayfly::services::sns {

class TopicEffects final : public events::EffectsTarget {
 public:
  static constexpr std::string_view service = "sns";

  TopicEffects(store::Store& store, const Topics& topics, Publisher& publisher)
      : topics_(topics), publisher_(publisher), once_(store, "once") {}

  // Of an accepted message with its topic and its id.
  static events::HeldEffect of(const Message& message) {
    return {std::string(service), encode(message)};
  }
  // A topic that was deleted meanwhile publishes nothing.
  io::Task<Result<>> perform(std::string id, std::string record) override;
  Result<std::vector<std::string>> performed() override { return once_.all(); }
  io::Task<void> forget(std::vector<std::string> ids) override {
    return once_.forget(std::move(ids));
  }

 private:
  const Topics& topics_;
  Publisher& publisher_;
  store::Once once_;
};

}  // namespace mayfly::services::sns
