// Courier: takes one message to one subscription: a queue, a function or an http endpoint; to the
// dead-letter queue where that is hopeless (SNS developer guide, "Amazon SNS dead-letter queues").
//
// An endpoint that is gone, refuses the topic or will never take the message is a client's error:
// no retry. Everything else is tried again as the delivery policy says. Of http endpoints, 2xx is
// success; 429 and 5xx, no connection and no answer in time are tried again; other answers are not.
//
// With a circuit breaker (the tag mayfly:breaker of the topic; one for each http endpoint) that is
// open, messages go to its fallback, or wait without being tried until they are as old as retries
// of a delivery policy could make them.
//
// Loop thread. Outlives the Outbox.
#pragma once

#include <functional>

#include "events/switchboard.h"
#include "gate/breaker.h"
#include "io/http_client.h"
#include "services/sns/outbox.h"
#include "services/sns/signer.h"
#include "services/sns/topics.h"

namespace mayfly::services::sns {

// Counted for metrics: messages as they are published, then what becomes of them at each
// subscription.
enum class Step { published, filtered, delivered, failed, dead_lettered, dropped };
std::string_view name_of(Step step);
// `protocol`: of the subscription; empty for published.
using CountStep = std::function<void(const TopicRef& topic, std::string_view protocol, Step)>;

class Courier {
 public:
  struct Deps {
    io::Loop& loop;
    Topics& topics;
    Signer& signer;
    io::HttpClient& http;
    const events::Switchboard& switchboard;
    CountStep count;
    std::size_t http_at_once = limits::sns_http_at_once;  // exchanges under way
  };
  explicit Courier(Deps deps)
      : deps_(std::move(deps)), breakers_(deps_.loop), signing_(deps_.loop), posting_(deps_.loop) {}

  io::Task<Verdict> deliver(std::shared_ptr<const Message> message, std::uint64_t subscription,
                            std::int64_t attempts);
  // Deliveries per second; 0: any number.
  std::int64_t rate_of(std::uint64_t subscription) const;
  // How many deliveries its circuit breaker lets through now; `grown` is called when there may be
  // more.
  std::size_t room_of(std::uint64_t subscription) const;
  void on_room(std::function<void(std::uint64_t subscription)> grown);
  std::size_t open_breakers() const { return breakers_.open(); }
  // Http exchanges under way end as cancelled.
  void stop() { stop_.request_stop(); }

  // What applies to http endpoints: the subscription's, unless the topic forbids it, else the
  // topic's.
  static DeliveryPolicy policy_of(const Topic& topic, const Subscription& to);

 private:
  using Payload = Result<std::string>;
  enum class Form { event, document };  // of what is not raw: functions get events
  io::Task<Result<>> attempt(const Message& message, const Subscription& to);
  std::shared_ptr<const gate::BreakerSettings> breaker_of(const Message& message,
                                                          const Subscription& to);
  io::Task<Verdict> detour(const Message& message, const Subscription& to,
                           const gate::BreakerSettings& breaker, const Error& open);
  io::Task<Result<>> push(const Message& message, const Subscription& to, std::string arn,
                          Form form);
  io::Task<Result<>> post(const Message& message, const Subscription& to);
  io::Task<Payload> payload_of(const Message& message, const Subscription& to, Form form);
  io::Task<Payload> signature_of(const Message& message, const Subscription& to);
  io::Task<Verdict> bury(const Message& message, const Subscription& to, const Error& error);
  RetryPolicy retry_policy(const Subscription& to) const;

  Deps deps_;
  gate::Breakers breakers_;
  std::stop_source stop_;
  // The signatures of messages under way: one serves all subscriptions.
  struct Signature {
    bool ready = false;
    std::string text;
    std::size_t users = 0;
  };
  std::map<std::pair<std::uint64_t, std::string>, Signature> signatures_;
  io::ParkingLot signing_;
  std::size_t posts_ = 0;  // under way
  io::ParkingLot posting_;
};

}  // namespace mayfly::services::sns
