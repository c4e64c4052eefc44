#include "services/events/rule_clock.h"

#include "base/log.h"

namespace mayfly::services::bus {

RuleClock::~RuleClock() {
  if (timer_) loop_.cancel_timer(*timer_);
}

void RuleClock::start() {
  started_ = true;
  // What fell due before is left out.
  auto timed = std::exchange(timed_, {});
  due_.clear();
  for (auto& [key, one] : timed) plan(std::move(one), now_s());
  arm();
}

void RuleClock::stop() {
  started_ = false;
  if (timer_) loop_.cancel_timer(*timer_);
  timer_.reset();
}

io::Task<void> RuleClock::close() {
  stop();
  co_await tasks_.close();
}

void RuleClock::changed(const Table<Rule>::Row& before, const Table<Rule>::Row& after) {
  std::string key = (after ? after : before)->key();
  if (auto found = timed_.find(key); found != timed_.end()) {
    // Other targets or tags: the times stay.
    bool same =
        after && after->enabled() && after->since_ms == found->second.rule->since_ms &&
        after->about.schedule_expression() == found->second.rule->about.schedule_expression();
    if (same) {
      found->second.rule = after;
      return;
    }
    due_.erase({found->second.due_s, key});
    timed_.erase(found);
  }
  auto text = after ? after->about.schedule_expression().value_or("") : std::string_view();
  if (!text.empty() && after->enabled()) {
    auto read = wire::ScheduleExpression::parse(text, wire::ScheduleExpression::Dialect::rule);
    if (read) plan({.rule = after, .expression = *std::move(read)}, now_s());
  }
  arm();
}

void RuleClock::plan(Timed timed, std::int64_t after_s) {
  // A rate's first time is one period after the rule was made or enabled.
  std::int64_t first = timed.rule->since_ms / 1000;
  if (timed.expression.kind() == wire::ScheduleExpression::Kind::rate) {
    first += timed.expression.rate_seconds();
  }
  auto next = timed.expression.next(after_s, *wire::TimeZone::utc(), first);
  if (!next) return;
  timed.due_s = *next;
  std::string key = timed.rule->key();
  due_.emplace(timed.due_s, key);
  timed_.insert_or_assign(std::move(key), std::move(timed));
}

void RuleClock::arm() {
  if (timer_) loop_.cancel_timer(*timer_);
  timer_.reset();
  if (!started_ || due_.empty()) return;
  timer_ = loop_.add_platform_timer(from_epoch_millis(due_.begin()->first * 1000), [this] {
    timer_.reset();
    fire();
    arm();
  });
}

// A clock that was moved ahead makes up for the times that it has passed over, within bounds.
void RuleClock::fire() {
  constexpr int most = 1000;
  std::int64_t now = now_s();
  std::map<std::string, int> fired;
  while (!due_.empty() && due_.begin()->first <= now) {
    auto [due, key] = *due_.begin();
    due_.erase(due_.begin());
    auto timed = std::move(timed_.find(key)->second);
    timed_.erase(key);
    tasks_.spawn(trigger(timed.rule, due));
    plan(std::move(timed), ++fired[key] < most ? due : now);
  }
}

io::Task<void> RuleClock::trigger(Table<Rule>::Row rule, std::int64_t due_s) {
  std::string arn = rule->ref.arn();
  auto event = make_event({.id = random_.uuid4(),
                           .detail_type = "Scheduled Event",
                           .source = "aws.events",
                           .scope = rule->ref.bus.scope,
                           .time_ms = due_s * 1000,
                           .resources = {arn}});
  if (!event) co_return;
  auto done = co_await router_.trigger(
      rule,
      {.origin = {.bus = rule->ref.bus, .ingested_ms = epoch_millis(loop_.clock().platform())},
       .event = *std::move(event)});
  if (!done) log::error("events", "the schedule of {}: {}", arn, done.error().message);
}

}  // namespace mayfly::services::bus
