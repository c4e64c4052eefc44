// Of Deliveries: one attempt, and what stands before it where it has a circuit breaker.
#include "base/log.h"
#include "services/events/deliveries.h"
#include "services/events/target_input.h"

namespace mayfly::services::bus {

namespace {

using Settings = std::shared_ptr<const gate::BreakerSettings>;

// It was read once when it was set; one of a former version that is not understood is as none.
Settings breaker_of(const Rule& rule) { return gate::breaker_of(rule.tags).value_or(nullptr); }

}  // namespace

void Deliveries::rule_changed(const Table<Rule>::Row& before, const Table<Rule>::Row& after) {
  auto was = before ? breaker_of(*before) : nullptr;
  auto is = after ? breaker_of(*after) : nullptr;
  if (!was || (is && *is == *was)) return;
  breakers_.forget(breaker_key(before->key(), ""));
}

// Without a try: an open breaker, and nothing that takes its place.
bool Deliveries::must_wait(const Job& job, const Rule& rule, const model::Target& target) const {
  auto breaker = breaker_of(rule);
  return breaker && breaker->fallback.empty() &&
         !breakers_.lets(breaker_key(job.rule, job.target)) && now_ms() < expires_ms(job, target);
}

void Deliveries::park(Job job, const model::Target& target) {
  drop_text(job.seq);
  std::string breaker = breaker_key(job.rule, job.target);
  std::int64_t expires = expires_ms(job, target);
  parked_.put(breaker, std::move(job), expires);
}

void Deliveries::release(const std::string& breaker) {
  auto jobs = parked_.take(breaker, breakers_.room(breaker));
  if (jobs.empty()) return;
  for (auto& job : jobs) ready_.push_back(std::move(job));
  pump();
}

io::Task<Result<>> Deliveries::attempt(const Rule& rule, const model::Target& target,
                                       const Known& known) {
  std::string arn(target.arn().value_or(""));
  auto breaker = breaker_of(rule);
  if (!breaker) co_return co_await push(rule, target, known, std::move(arn));
  std::string key = breaker_key(rule.key(), target.id().value_or(""));
  auto begun = breakers_.begin(key, *breaker);
  if (begun) {
    auto pushed = co_await push(rule, target, known, std::move(arn));
    breakers_.end(key, *breaker, gate::Breakers::judge(pushed));
    co_return pushed;
  }
  if (!breaker->fallback.empty()) {
    auto instead = co_await push(rule, target, known, breaker->fallback);
    if (instead) co_return instead;
    log::warn("events", "the fallback {} of {} takes nothing: {}", breaker->fallback,
              rule.ref.arn(), instead.error().message);
  }
  co_return begun;
}

io::Task<Result<>> Deliveries::push(const Rule& rule, const model::Target& target,
                                    const Known& known, std::string arn) {
  std::string rule_arn = rule.ref.arn();
  bool to_bus = !name_in_arn(arn, "event-bus").empty();
  auto payload =
      to_bus ? Result<std::string>(known.event.text)
             : input_of(target, known.event, {rule_arn, rule.ref.name, known.origin.ingested_ms});
  if (!payload) co_return fail(ErrorKind::invalid, payload.error().message, "INVALID_JSON");
  if (!name_in_arn(arn, "api-destination").empty()) {
    auto answer = co_await deps_.http.call({.arn = std::move(arn),
                                            .payload = *std::move(payload),
                                            .parameters = target.http_parameters(),
                                            .event = &known.event.json},
                                           tasks_.stop_token());
    if (!answer) co_return std::unexpected(std::move(answer.error()));
    co_return Result<>{};
  }
  events::Delivery delivery{.arn = std::move(arn),
                            .payload = *std::move(payload),
                            .sender = {.service = std::string(principal),
                                       .source_arn = std::move(rule_arn),
                                       .account = rule.ref.bus.scope.account,
                                       .role_arn = std::string(target.role_arn().value_or(""))},
                            .trace_header = known.origin.trace};
  if (to_bus) {
    delivery.attributes.push_back({"hops", "Number", fmt::format("{}", known.origin.hops + 1)});
  }
  if (auto sqs = target.sqs_parameters()) delivery.group_id = sqs->message_group_id().value_or("");
  auto pushed = co_await deps_.switchboard.push(std::move(delivery));
  if (!pushed) co_return std::unexpected(std::move(pushed.error()));
  co_return Result<>{};
}

}  // namespace mayfly::services::bus
