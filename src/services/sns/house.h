// House: all of SNS, put together: what mayfly/ opens, registers and closes.
//
// Loop thread; as long as the server. Its address stays (it is handed out by reference).
#pragma once

#include <memory>

#include "services/sns/courier.h"
#include "services/sns/effects.h"
#include "services/sns/outbox.h"
#include "services/sns/publisher.h"
#include "services/sns/service.h"
#include "services/sns/signer.h"
#include "services/sns/target.h"
#include "services/sns/web.h"

namespace mayfly::services::sns {

class House {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    io::Workers& workers;
    store::Store& store;  // a database of its own
    io::HttpClient& http;
    const events::Switchboard& switchboard;
    guard::Guard& guard;
    CountStep count;
    std::function<std::string()> host;              // as sns::Deps
    const events::EffectsBoard* effects = nullptr;  // likewise
    std::size_t http_at_once = limits::sns_http_at_once;
    std::size_t subscriptions_max = limits::sns_subscriptions;
  };
  explicit House(Deps deps);
  static Result<std::unique_ptr<House>> open(Deps deps);

  api::Service operations() { return make_sns_service(service_deps()); }
  events::Target& target() { return target_; }
  guard::ResourcePolicies& policies() { return policies_; }
  Web& web() { return web_; }
  events::EffectsTarget& effects() { return effects_; }
  std::size_t waiting() const { return outbox_.waiting(); }
  std::size_t open_breakers() const { return courier_.open_breakers(); }

  // Delivers what is left from before, when all targets are registered.
  void start();
  // Before the targets end; what is not delivered then is delivered after the next start.
  io::Task<void> close();

 private:
  sns::Deps service_deps() {
    return {deps_.loop, deps_.random,      topics_,       publisher_,
            deps_.host, deps_.switchboard, deps_.effects, deps_.subscriptions_max};
  }

  Deps deps_;
  Topics topics_;
  Signer signer_;
  Courier courier_;
  Outbox outbox_;
  Publisher publisher_;
  TopicTarget target_;
  TopicEffects effects_;
  TopicPolicies policies_{topics_};
  Web web_;
};

}  // namespace mayfly::services::sns
