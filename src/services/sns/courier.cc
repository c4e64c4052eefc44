#include "services/sns/courier.h"

#include "base/limits.h"
#include "base/log.h"
#include "services/sns/envelope.h"
#include "services/sns/links.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

// Nothing that is tried again would end otherwise.
bool is_final(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found:
    case ErrorKind::denied:
    case ErrorKind::invalid:
    case ErrorKind::too_large:
    case ErrorKind::unimplemented: return true;
    default: return false;
  }
}

constexpr std::int64_t dead_letter_pause_ms = 20'000;

Result<> judge(const io::HttpAnswer& answer) {
  if (answer.status >= 200 && answer.status < 300) return {};
  bool later = answer.status == 429 || answer.status >= 500;
  return fail(later ? ErrorKind::unavailable : ErrorKind::denied,
              fmt::format("the endpoint answers {}", answer.status));
}

}  // namespace

std::string_view name_of(Step step) {
  switch (step) {
    case Step::published: return "published";
    case Step::filtered: return "filtered";
    case Step::delivered: return "delivered";
    case Step::failed: return "failed";
    case Step::dead_lettered: return "dead_lettered";
    case Step::dropped: return "dropped";
  }
  return {};
}

DeliveryPolicy Courier::policy_of(const Topic& topic, const Subscription& to) {
  const auto& of_topic = topic.info().settings.delivery;
  return to.settings.delivery && !of_topic.fixed ? *to.settings.delivery : of_topic;
}

RetryPolicy Courier::retry_policy(const Subscription& to) const {
  if (!to.http()) return managed_policy();
  auto topic = deps_.topics.find(to.ref.topic);
  return topic ? policy_of(*topic, to).retry : RetryPolicy();
}

std::int64_t Courier::rate_of(std::uint64_t subscription) const {
  auto to = deps_.topics.by_number(subscription);
  if (!to || !to->http()) return 0;
  auto topic = deps_.topics.find(to->ref.topic);
  return topic ? policy_of(*topic, *to).receives_per_second : 0;
}

io::Task<Verdict> Courier::deliver(std::shared_ptr<const Message> message,
                                   std::uint64_t subscription, std::int64_t attempts) {
  auto to = deps_.topics.by_number(subscription);
  // It ended meanwhile, or with it the reason to tell it something.
  bool wanted = to && (message->type == Message::Type::notification
                           ? to->state == Subscription::State::confirmed
                           : to->token == message->token);
  if (!wanted) co_return Verdict{};
  auto breaker = breaker_of(*message, *to);
  std::string key = std::to_string(subscription);
  if (breaker) {
    auto begun = breakers_.begin(key, *breaker);
    if (!begun) co_return co_await detour(*message, *to, *breaker, begun.error());
  }
  auto done = co_await attempt(*message, *to);
  if (breaker) breakers_.end(key, *breaker, gate::Breakers::judge(done));
  if (done) {
    deps_.count(to->ref.topic, to->protocol, Step::delivered);
    co_return Verdict{};
  }
  const auto& error = done.error();
  log::debug("sns", "{} to {}: {}", message->id, to->endpoint, error.message);
  auto delay = is_final(error) ? std::nullopt : retry_policy(*to).delay_ms(attempts + 1);
  if (delay) {
    deps_.count(to->ref.topic, to->protocol, Step::failed);
    co_return Verdict{.done = false, .again_after_ms = *delay};
  }
  co_return co_await bury(*message, *to, error);
}

std::size_t Courier::room_of(std::uint64_t subscription) const {
  return breakers_.room(std::to_string(subscription));
}

void Courier::on_room(std::function<void(std::uint64_t subscription)> grown) {
  breakers_.on_change([grown = std::move(grown)](const std::string& key) {
    if (auto number = wire::parse_int(key)) grown(static_cast<std::uint64_t>(*number));
  });
}

std::shared_ptr<const gate::BreakerSettings> Courier::breaker_of(const Message& message,
                                                                 const Subscription& to) {
  // What asks an endpoint for its confirmation is for it alone.
  if (!to.http() || message.type != Message::Type::notification) return nullptr;
  auto topic = deps_.topics.find(to.ref.topic);
  auto out = topic ? gate::breaker_of(topic->info().tags).value_or(nullptr) : nullptr;
  // The tag was taken away meanwhile.
  if (!out && breakers_.open() > 0) breakers_.forget(std::to_string(to.number));
  return out;
}

// What becomes of a message while the breaker is open.
io::Task<Verdict> Courier::detour(const Message& message, const Subscription& to,
                                  const gate::BreakerSettings& breaker, const Error& open) {
  if (!breaker.fallback.empty()) {
    auto form = events::service_of_arn(breaker.fallback) == "lambda" ? Form::event : Form::document;
    auto instead = co_await push(message, to, breaker.fallback, form);
    if (instead) {
      deps_.count(to.ref.topic, to.protocol, Step::delivered);
      co_return Verdict{};
    }
    log::warn("sns", "the fallback {} of {} takes nothing: {}", breaker.fallback, to.ref.arn(),
              instead.error().message);
  }
  std::int64_t expires = message.published_ms + limits::sns_http_delay_seconds * 1000ll;
  if (epoch_millis(deps_.loop.clock().platform()) >= expires) {
    co_return co_await bury(message, to, open);
  }
  co_return Verdict{.done = false, .waits_until_ms = expires};
}

io::Task<Result<>> Courier::attempt(const Message& message, const Subscription& to) {
  if (to.http()) co_return co_await post(message, to);
  co_return co_await push(message, to, to.endpoint,
                          to.protocol == "lambda" ? Form::event : Form::document);
}

io::Task<Verdict> Courier::bury(const Message& message, const Subscription& to,
                                const Error& error) {
  bool notification = message.type == Message::Type::notification;
  const auto& queue = to.settings.dead_letter_arn;
  if (notification && !queue.empty()) {
    auto kept = co_await push(message, to, queue, Form::document);
    if (kept) {
      deps_.count(to.ref.topic, to.protocol, Step::dead_lettered);
      co_return Verdict{};
    }
    if (!is_final(kept.error())) {
      co_return Verdict{
          .done = false, .again_after_ms = dead_letter_pause_ms, .attempt_counts = false};
    }
    log::warn("sns", "the dead-letter queue of {} does not take {}: {}", to.ref.arn(), message.id,
              kept.error().message);
  }
  log::warn("sns", "{} {} is given up for {}: {}", name_of(message.type), message.id, to.ref.arn(),
            error.message);
  deps_.count(to.ref.topic, to.protocol, Step::dropped);
  co_return Verdict{};
}

io::Task<Result<>> Courier::push(const Message& message, const Subscription& to, std::string arn,
                                 Form form) {
  CO_TRY_ASSIGN(auto payload, co_await payload_of(message, to, form));
  events::Delivery delivery{.arn = std::move(arn),
                            .payload = std::move(payload),
                            .sender = {.service = "sns.amazonaws.com",
                                       .source_arn = message.topic_arn,
                                       .account = to.ref.topic.scope.account,
                                       .role_arn = {}},
                            .trace_header = message.trace};
  delivery.group_id = message.group;
  delivery.deduplication_id = message.deduplication;
  if (to.settings.raw) {
    // The guide: with more, the message is none that can be delivered.
    if (message.attributes.size() > limits::sns_raw_attributes) {
      co_return fail(ErrorKind::invalid, fmt::format("a raw message has {} attributes at the most",
                                                     limits::sns_raw_attributes));
    }
    delivery.attributes = message.attributes;
  }
  auto outcome = co_await deps_.switchboard.push(std::move(delivery));
  if (!outcome) co_return std::unexpected(std::move(outcome.error()));
  co_return Result<>{};
}

io::Task<Result<>> Courier::post(const Message& message, const Subscription& to) {
  auto topic = deps_.topics.find(to.ref.topic);
  if (!topic) co_return fail(ErrorKind::not_found, "the topic is gone");
  bool raw = to.settings.raw && message.type == Message::Type::notification;
  CO_TRY_ASSIGN(auto body, co_await payload_of(message, to, Form::document));
  auto policy = policy_of(*topic, to);
  io::HttpRequest request;
  request.url = to.endpoint;
  request.body = std::move(body);
  request.headers = {{"x-amz-sns-message-type", std::string(name_of(message.type))},
                     {"x-amz-sns-message-id", message.id},
                     {"x-amz-sns-topic-arn", message.topic_arn},
                     {"Content-Type", policy.content_type.empty() ? "text/plain; charset=UTF-8"
                                                                  : policy.content_type},
                     {"User-Agent", "Amazon Simple Notification Service Agent"}};
  if (message.type != Message::Type::confirmation) {
    request.headers.emplace_back("x-amz-sns-subscription-arn", to.ref.arn());
  }
  if (raw) request.headers.emplace_back("x-amz-sns-rawdelivery", "true");
  if (!message.trace.empty()) request.headers.emplace_back("X-Amzn-Trace-Id", message.trace);
  while (posts_ >= deps_.http_at_once) {
    CO_TRY(io::to_result(co_await posting_.park(no_deadline, stop_.get_token()), "delivery"));
  }
  ++posts_;
  auto answer = co_await deps_.http.send(
      std::move(request), deps_.loop.now() + limits::sns_http_time, stop_.get_token());
  --posts_;
  posting_.wake_one();
  if (answer) co_return judge(*answer);
  // It has answered, just not as we can read it.
  if (answer.error().kind == ErrorKind::too_large) co_return Result<>{};
  co_return std::unexpected(std::move(answer.error()));
}

io::Task<Courier::Payload> Courier::payload_of(const Message& message, const Subscription& to,
                                               Form form) {
  if (to.settings.raw && message.type == Message::Type::notification) {
    co_return message.body_for(to.protocol);
  }
  CO_TRY_ASSIGN(auto signature, co_await signature_of(message, to));
  CO_TRY_ASSIGN(auto path, co_await deps_.signer.certificate_path());
  Addressee addressee{.protocol = to.protocol,
                      .subscription_arn = to.ref.arn(),
                      .host = to.host,
                      .certificate = url_at(to.host, path),
                      .signature = std::move(signature)};
  if (form == Form::event) co_return lambda_event(message, addressee);
  co_return document(message, addressee);
}

io::Task<Courier::Payload> Courier::signature_of(const Message& message, const Subscription& to) {
  std::string text = text_to_sign(message, to.protocol, to.host);
  std::pair key(message.seq, message.bodies.contains(to.protocol) ? to.protocol : std::string());
  // Confirmations have one addressee.
  if (message.type != Message::Type::notification) {
    co_return co_await deps_.signer.sign(message.signature_version, std::move(text));
  }
  auto [found, mine] = signatures_.try_emplace(key);
  ++found->second.users;
  Payload out;
  if (mine) {
    out = co_await deps_.signer.sign(message.signature_version, std::move(text));
    auto& made = signatures_[key];
    made.ready = true;
    if (out) made.text = *out;
    signing_.wake_all();
  } else {
    while (!signatures_[key].ready) co_await signing_.park();
    out = signatures_[key].text;
  }
  if (--signatures_[key].users == 0) signatures_.erase(key);
  if (out && out->empty()) co_return fail(ErrorKind::unavailable, "a message was not signed");
  co_return out;
}

}  // namespace mayfly::services::sns
