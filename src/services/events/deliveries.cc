#include "services/events/deliveries.h"

#include <charconv>

#include "base/limits.h"
#include "base/log.h"
#include "services/events/target_input.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

using wire::Json;

constexpr std::size_t load_page = 512;
constexpr std::size_t pushes_per_target = 64;

std::string event_key(std::uint64_t seq) { return fmt::format("ev/{:016x}", seq); }
std::string job_key(std::uint64_t seq, unsigned number) {
  return fmt::format("dl/{:016x}/{:05}", seq, number);
}

std::string encode(const Deliveries::Job& job) {
  Json out;
  out["rule"] = job.rule;
  out["target"] = job.target;
  out["attempts"] = job.attempts;
  out["first"] = job.first_ms;
  out["due"] = job.due_ms;
  return out.dump();
}

Result<Deliveries::Job> decode_job(const store::Row& row) {
  auto parts = wire::split(row.key, '/');
  auto json = wire::parse_json(row.value);
  if (parts.size() != 3 || !json) return fail(ErrorKind::corrupt, "a delivery cannot be read");
  Deliveries::Job out{.rule = std::string(json->string_or("rule")),
                      .target = std::string(json->string_or("target"))};
  auto seq = std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), out.seq, 16);
  auto number = std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), out.number);
  if (seq.ec != std::errc() || number.ec != std::errc()) {
    return fail(ErrorKind::corrupt, "a delivery cannot be read");
  }
  out.attempts = static_cast<int>(json->int_or("attempts", 0));
  out.first_ms = json->int_or("first", 0);
  out.due_ms = json->int_or("due", 0);
  return out;
}

const model::Target* find_target(const Rule& rule, std::string_view id) {
  auto found =
      std::ranges::find_if(rule.targets, [&](const auto& target) { return target.id() == id; });
  return found == rule.targets.end() ? nullptr : &*found;
}

// Passing on may help later.
bool may_pass(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::throttled:
    case ErrorKind::unavailable:
    case ErrorKind::timeout:
    case ErrorKind::internal:
    case ErrorKind::conflict: return true;
    default: return false;
  }
}

std::string_view code_of(const Error& error) {
  if (!error.reason.empty()) return error.reason;
  switch (error.kind) {
    case ErrorKind::not_found: return "NO_RESOURCE";
    case ErrorKind::denied: return "NO_PERMISSIONS";
    case ErrorKind::throttled: return "THROTTLING";
    case ErrorKind::timeout: return "TIMEOUT";
    case ErrorKind::unavailable: return "ERROR_FROM_TARGET";
    case ErrorKind::invalid:
    case ErrorKind::too_large: return "INVALID_PARAMETER";
    case ErrorKind::unimplemented: return "SDK_CLIENT_ERROR";
    default: return "INTERNAL_ERROR";
  }
}

}  // namespace

std::string_view name_of(Step step) {
  switch (step) {
    case Step::published: return "published";
    case Step::matched: return "matched";
    case Step::triggered: return "triggered";
    case Step::invoked: return "invoked";
    case Step::retried: return "retried";
    case Step::throttled: return "throttled";
    case Step::failed: return "failed";
    case Step::dead_lettered: return "dead_lettered";
    case Step::dead_letter_failed: return "dead_letter_failed";
  }
  return {};
}

std::string encode_event(const Origin& origin, const BusEvent& event) {
  Json head;
  head["bus"] = origin.bus.arn();
  head["ms"] = origin.ingested_ms;
  head["trace"] = origin.trace;
  head["hops"] = origin.hops;
  return head.dump() + "\n" + event.text;
}

Result<Deliveries::Known> decode_event(std::string_view bytes) {
  auto end = bytes.find('\n');
  auto head = wire::parse_json(bytes.substr(0, end));
  auto bus = head ? parse_bus_arn(head->string_or("bus")) : std::nullopt;
  if (end == bytes.npos || !bus) return fail(ErrorKind::corrupt, "an event cannot be read");
  TRY_ASSIGN(auto event, read_event(std::string(bytes.substr(end + 1))));
  return Deliveries::Known{{.bus = *bus,
                            .ingested_ms = head->int_or("ms", 0),
                            .trace = std::string(head->string_or("trace")),
                            .hops = static_cast<int>(head->int_or("hops", 0))},
                           std::move(event)};
}

std::string breaker_key(std::string_view rule, std::string_view target) {
  return fmt::format("{}/{}", rule, target);
}

std::int64_t expires_ms(const Deliveries::Job& job, const model::Target& target) {
  std::int64_t age_ms = std::chrono::milliseconds(limits::events_retry_age).count();
  auto policy = target.retry_policy();
  auto seconds = policy ? policy->maximum_event_age_in_seconds() : std::nullopt;
  return job.first_ms + (seconds ? *seconds * 1000 : age_ms);
}

Deliveries::Deliveries(Deps deps) : deps_(deps), breakers_(deps_.loop), tasks_(deps_.loop) {
  breakers_.on_change([this](const std::string& key) { release(key); });
}

Deliveries::~Deliveries() {
  if (timer_) deps_.loop.cancel_timer(*timer_);
}

Result<> Deliveries::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, deps_.store.scan("dl/", after, load_page));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto job, decode_job(row));
      next_seq_ = std::max(next_seq_, job.seq + 1);
      ++held_[job.seq].jobs;
      ++jobs_;
      waiting_.emplace(job.due_ms, std::move(job));
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

void Deliveries::start() {
  started_ = true;
  arm();
}

void Deliveries::stop() {
  started_ = false;
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
}

io::Task<void> Deliveries::close() {
  stop();
  co_await tasks_.close();
}

Deliveries::Prepared Deliveries::prepare(Origin origin, BusEvent event,
                                         const std::vector<Table<Rule>::Row>& rules,
                                         store::Batch& batch) {
  Prepared out;
  std::uint64_t seq = next_seq_;
  for (const auto& rule : rules) {
    for (const auto& target : rule->targets) {
      out.jobs.push_back({.seq = seq,
                          .number = static_cast<unsigned>(out.jobs.size()),
                          .rule = rule->key(),
                          .target = std::string(target.id().value_or("")),
                          .first_ms = origin.ingested_ms,
                          .due_ms = origin.ingested_ms});
    }
  }
  if (out.jobs.empty()) return out;
  ++next_seq_;
  batch.puts.push_back({event_key(seq), encode_event(origin, event)});
  for (const auto& job : out.jobs) {
    batch.puts.push_back({job_key(job.seq, job.number), encode(job)});
  }
  out.event = std::make_shared<const Known>(Known{std::move(origin), std::move(event)});
  return out;
}

void Deliveries::begin(Prepared prepared) {
  if (prepared.jobs.empty()) return;
  auto& held = held_[prepared.jobs.front().seq];
  held.jobs = prepared.jobs.size();
  std::size_t bytes = prepared.event->event.text.size();
  if (held_bytes_ + bytes <= limits::events_waiting_bytes) {
    held_bytes_ += bytes;
    held.event = std::move(prepared.event);
  }
  jobs_ += prepared.jobs.size();
  for (auto& job : prepared.jobs) ready_.push_back(std::move(job));
  pump();
}

Result<std::shared_ptr<const Deliveries::Known>> Deliveries::read(std::uint64_t seq) {
  auto held = held_.find(seq);
  if (held != held_.end() && held->second.event) return held->second.event;
  TRY_ASSIGN(auto row, deps_.store.get(event_key(seq)));
  if (!row) return fail(ErrorKind::corrupt, "the event of a delivery is gone");
  TRY_ASSIGN(auto known, decode_event(row->value));
  return std::make_shared<const Known>(std::move(known));
}

void Deliveries::drop_text(std::uint64_t seq) {
  auto held = held_.find(seq);
  if (held == held_.end() || !held->second.event) return;
  held_bytes_ -= held->second.event->event.text.size();
  held->second.event = nullptr;
}

void Deliveries::pump() {
  if (!started_) return;
  while (running_ < limits::events_pushes && !ready_.empty()) {
    Job job = std::move(ready_.front());
    ready_.pop_front();
    auto rule = deps_.config.rules.find(job.rule);
    const auto* target = rule ? find_target(*rule, job.target) : nullptr;
    std::string arn(target == nullptr ? "" : target->arn().value_or(""));
    if (target != nullptr && must_wait(job, *rule, *target)) {
      park(std::move(job), *target);
      continue;
    }
    auto& running = running_by_target_[arn];
    if (running >= pushes_per_target) {
      behind_[arn].push_back(std::move(job));
      continue;
    }
    if (!job.admitted && !name_in_arn(arn, "api-destination").empty()) {
      job.admitted = true;
      if (std::int64_t begins = deps_.http.reserve(arn); begins > now_ms()) {
        waiting_.emplace(begins, std::move(job));
        continue;
      }
    }
    ++running;
    ++running_;
    tasks_.spawn(run(std::move(job)));
  }
  arm();
}

void Deliveries::arm() {
  if (timer_) deps_.loop.cancel_timer(*timer_);
  timer_.reset();
  std::int64_t first = waiting_.empty() ? INT64_MAX : waiting_.begin()->first;
  first = std::min(first, parked_.expires_ms());
  if (!started_ || first == INT64_MAX) return;
  timer_ = deps_.loop.add_platform_timer(from_epoch_millis(first), [this] {
    timer_.reset();
    std::int64_t now = now_ms();
    for (auto& job : parked_.take_expired(now)) ready_.push_back(std::move(job));
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
      ready_.push_back(std::move(waiting_.begin()->second));
      waiting_.erase(waiting_.begin());
    }
    pump();
  });
}

void Deliveries::wait(Job job) {
  drop_text(job.seq);
  waiting_.emplace(job.due_ms, std::move(job));
}

io::Task<void> Deliveries::run(Job job) {
  auto rule = deps_.config.rules.find(job.rule);
  const auto* found = rule ? find_target(*rule, job.target) : nullptr;
  std::string arn(found == nullptr ? "" : found->arn().value_or(""));
  std::string breaker = breaker_key(job.rule, job.target);
  auto known = read(job.seq);
  if (!known) {
    log::error("events", "delivery {} to {}: {}", job.seq, job.target, known.error().message);
    co_await finish(std::move(job));
  } else if (found == nullptr) {
    co_await finish(std::move(job));  // taken away meanwhile
  } else {
    auto target = *found;
    if (job.attempts > 0) {
      count(*rule, Step::retried);
    } else if (deps_.counts.started) {
      deps_.counts.started(rule->ref.bus,
                           static_cast<double>(now_ms() - (*known)->origin.ingested_ms) / 1000);
    }
    auto pushed = co_await attempt(*rule, target, **known);
    if (pushed) {
      count(*rule, Step::invoked);
      co_await finish(std::move(job));
    } else if (pushed.error().reason == gate::circuit_open && now_ms() < expires_ms(job, target)) {
      park(std::move(job), target);
    } else if (pushed.error().kind != ErrorKind::cancelled) {
      co_await failed(std::move(job), rule, std::move(target), *known, std::move(pushed.error()));
    }
  }
  // One that was let through and came to nothing leaves its place to another.
  if (parked_.size() > 0) release(breaker);
  --running_;
  if (auto count = running_by_target_.find(arn); --count->second == 0) {
    running_by_target_.erase(count);
  }
  if (auto behind = behind_.find(arn); behind != behind_.end()) {
    ready_.push_front(std::move(behind->second.front()));
    behind->second.pop_front();
    if (behind->second.empty()) behind_.erase(behind);
  }
  pump();
}

std::int64_t Deliveries::backoff_ms(int attempts) {
  auto most = std::chrono::milliseconds(limits::events_retry_last).count();
  auto wait = std::chrono::milliseconds(limits::events_retry_first).count();
  for (int i = 1; i < attempts && wait < most; ++i) wait *= 2;
  wait = std::min<std::int64_t>(wait, most);
  // Half of it, and of the other half anything.
  return wait / 2 + static_cast<std::int64_t>(deps_.random.next_u64() %
                                              static_cast<std::uint64_t>(wait / 2 + 1));
}

io::Task<void> Deliveries::failed(Job job, std::shared_ptr<const Rule> rule, model::Target target,
                                  std::shared_ptr<const Known> known, Error error) {
  auto policy = target.retry_policy();
  std::int64_t most = limits::events_retry_attempts;
  if (policy) most = policy->maximum_retry_attempts().value_or(most);
  std::int64_t expires = expires_ms(job, target);
  Failure failure{.error = std::move(error)};
  if (failure.error.kind == ErrorKind::throttled) count(*rule, Step::throttled);
  failure.final = !may_pass(failure.error.kind);
  bool waited = failure.error.reason == gate::circuit_open;
  if (!failure.final && !waited && job.attempts >= most) failure.exhausted = "MaximumRetryAttempts";
  if (!failure.final && failure.exhausted.empty() && now_ms() >= expires) {
    failure.exhausted = "MaximumEventAgeInSeconds";
  }
  if (failure.final || !failure.exhausted.empty()) {
    auto sent = co_await dead_letter(job, *rule, target, *known, failure);
    if (sent || !may_pass(sent.error().kind)) {
      if (!sent) {
        count(*rule, Step::dead_letter_failed);
        log::warn("events", "event {} for {} is lost: its dead-letter queue: {}", known->event.id(),
                  target.arn().value_or(""), sent.error().message);
      }
      count(*rule, Step::invoked);
      count(*rule, Step::failed);
      co_await finish(std::move(job));
      co_return;
    }
    job.due_ms = now_ms() + backoff_ms(8);
  } else {
    ++job.attempts;
    job.due_ms = std::min(now_ms() + backoff_ms(job.attempts), expires);
    // What is due by its age alone has waited already.
    job.due_ms = std::max(job.due_ms, now_ms() + 1);
  }
  job.admitted = false;
  store::Batch batch;
  batch.puts.push_back({job_key(job.seq, job.number), encode(job)});
  auto done = co_await deps_.store.commit(std::move(batch), store::Durability::buffered);
  if (!done) log::warn("events", "a retry is not written down: {}", done.error().message);
  wait(std::move(job));
}

io::Task<Result<>> Deliveries::dead_letter(const Job& job, const Rule& rule,
                                           const model::Target& target, const Known& known,
                                           const Failure& failure) {
  auto config = target.dead_letter_config();
  auto queue = config ? config->arn().value_or("") : std::string_view();
  if (queue.empty()) {
    log::info("events", "event {} for {} is given up: {}", known.event.id(),
              target.arn().value_or(""), failure.error.message);
    co_return Result<>{};
  }
  events::Delivery delivery{.arn = std::string(queue),
                            .payload = known.event.text,
                            .sender = {.service = std::string(principal),
                                       .source_arn = rule.ref.arn(),
                                       .account = rule.ref.bus.scope.account,
                                       .role_arn = ""},
                            .trace_header = known.origin.trace};
  auto add = [&](std::string name, std::string value) {
    delivery.attributes.push_back({std::move(name), "String", std::move(value)});
  };
  add("RULE_ARN", rule.ref.arn());
  add("TARGET_ARN", std::string(target.arn().value_or("")));
  add("ERROR_CODE", std::string(code_of(failure.error)));
  add("ERROR_MESSAGE", failure.error.message);
  add("RETRY_ATTEMPTS", fmt::format("{}", job.attempts));
  if (!failure.exhausted.empty()) {
    add("EXHAUSTED_RETRY_CONDITION", std::string(failure.exhausted));
  }
  auto sent = co_await deps_.switchboard.push(std::move(delivery));
  if (!sent) co_return std::unexpected(std::move(sent.error()));
  count(rule, Step::dead_lettered);
  co_return Result<>{};
}

// The rows go; a crash before that repeats the delivery.
io::Task<void> Deliveries::finish(Job job) {
  store::Batch batch;
  batch.deletes.push_back(job_key(job.seq, job.number));
  auto held = held_.find(job.seq);
  bool last = held == held_.end() || --held->second.jobs == 0;
  if (last) {
    drop_text(job.seq);
    held_.erase(job.seq);
    batch.deletes.push_back(event_key(job.seq));
  }
  --jobs_;
  auto done = co_await deps_.store.commit(std::move(batch), store::Durability::buffered);
  if (!done) log::warn("events", "a delivery is not struck out: {}", done.error().message);
}

}  // namespace mayfly::services::bus
