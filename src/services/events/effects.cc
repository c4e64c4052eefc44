#include "services/events/effects.h"

#include "base/log.h"

namespace mayfly::services::bus {

io::Task<Result<>> BusEffects::perform(std::string id, std::string record) {
  CO_TRY_ASSIGN(bool done, once_.done(id));
  if (done) co_return Result<>{};
  auto known = decode_event(record);
  if (!known) {
    log::error("events", "an event that was held back is lost: {}", known.error().message);
    co_return Result<>{};
  }
  if (!config_.find_bus(known->origin.bus)) co_return Result<>{};
  store::Batch with;
  once_.note(id, with);
  std::vector<Publication> one;
  one.push_back({.origin = std::move(known->origin), .event = std::move(known->event)});
  co_return co_await router_.publish(std::move(one), std::move(with));
}

}  // namespace mayfly::services::bus
