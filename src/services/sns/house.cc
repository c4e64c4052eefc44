#include "services/sns/house.h"

namespace mayfly::services::sns {

House::House(Deps deps)
    : deps_(std::move(deps)),
      topics_({deps_.loop, deps_.random, deps_.store}),
      signer_(deps_.loop, deps_.workers, deps_.store),
      courier_({deps_.loop, topics_, signer_, deps_.http, deps_.switchboard, deps_.count,
                deps_.http_at_once}),
      outbox_(
          {.loop = deps_.loop,
           .store = deps_.store,
           .deliver =
               [this](std::shared_ptr<const Message> message, std::uint64_t subscription,
                      std::int64_t attempts) {
                 return courier_.deliver(std::move(message), subscription, attempts);
               },
           .rate = [this](std::uint64_t subscription) { return courier_.rate_of(subscription); },
           .room = [this](std::uint64_t subscription) { return courier_.room_of(subscription); }}),
      publisher_({deps_.loop, deps_.random, deps_.store, topics_, outbox_, deps_.count}),
      target_(topics_, publisher_, deps_.guard),
      effects_(deps_.store, topics_, publisher_),
      web_(service_deps(), signer_) {
  courier_.on_room([this](std::uint64_t subscription) { outbox_.let_through(subscription); });
}

Result<std::unique_ptr<House>> House::open(Deps deps) {
  auto out = std::make_unique<House>(std::move(deps));
  TRY(out->topics_.load());
  TRY(out->outbox_.load([&out](std::uint64_t seq) { out->topics_.seen_number(seq); }));
  TRY(out->publisher_.load());
  return out;
}

void House::start() {
  topics_.start();
  outbox_.start();
}

io::Task<void> House::close() {
  courier_.stop();
  co_await topics_.close();
  co_await outbox_.close();
}

}  // namespace mayfly::services::sns
