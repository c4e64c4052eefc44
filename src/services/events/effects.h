// BusEffects: events that functions with exactly-once effects put on buses: held back with what
// else their invocation did, and routed when that has ended well.
//
// Rows: once/ID → an effect that was done. Loop thread; as long as the Router.
#pragma once

#include "events/effects.h"
#include "services/events/router.h"
#include "store/once.h"

namespace mayfly::services::bus {

class BusEffects final : public events::EffectsTarget {
 public:
  static constexpr std::string_view service = "events";

  BusEffects(store::Store& store, const Config& config, Router& router)
      : config_(config), router_(router), once_(store, "once") {}

  static events::HeldEffect of(const Publication& publication) {
    return {std::string(service), encode_event(publication.origin, publication.event)};
  }
  // A bus that was deleted meanwhile has no rules.
  io::Task<Result<>> perform(std::string id, std::string record) override;
  Result<std::vector<std::string>> performed() override { return once_.all(); }
  io::Task<void> forget(std::vector<std::string> ids) override {
    return once_.forget(std::move(ids));
  }

 private:
  const Config& config_;
  Router& router_;
  store::Once once_;
};

}  // namespace mayfly::services::bus
