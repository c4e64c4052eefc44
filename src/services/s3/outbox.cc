#include "services/s3/outbox.h"

#include "base/log.h"
#include "services/s3/bucket.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

using wire::Json;

constexpr std::size_t load_page = 1000;
constexpr int number_shift = 12;  // numbers of a millisecond
constexpr std::string_view principal = "s3.amazonaws.com";

std::string row_key(std::uint64_t number) { return fmt::format("n/{:020}", number); }

Result<events::Delivery> delivery_of(const Json& json) {
  std::string bucket(json.string_or("bucket"));
  events::Delivery out{.arn = std::string(json.string_or("arn")),
                       .payload = std::string(json.string_or("payload")),
                       .sender = {.service = std::string(principal),
                                  .source_arn = bucket_arn(bucket),
                                  .account = AccountId(std::string(json.string_or("account"))),
                                  .role_arn = {}},
                       .trace_header = std::string(json.string_or("trace"))};
  auto service = events::service_of_arn(out.arn);
  if (service == "sns") out.subject = "Amazon S3 Notification";
  if (service == "events") {
    out.attributes = {
        {"source", "String", "aws.s3"},
        {"detail-type", "String", std::string(json.string_or("detail_type"))},
        {"resources", "String", Json::array({bucket_arn(bucket)}).dump()},
        {"time", "String", wire::format_iso8601(json.int_or("at", 0), wire::Fraction::none)},
    };
  }
  return out;
}

bool may_pass(const Error& error) {
  return error.kind == ErrorKind::throttled || error.kind == ErrorKind::unavailable ||
         error.kind == ErrorKind::timeout || error.kind == ErrorKind::conflict;
}

}  // namespace

Result<> Outbox::load() {
  std::string after;
  while (true) {
    TRY_ASSIGN(auto rows, store_.scan("n/", after, load_page));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto number, wire::parse_int(std::string_view(row.key).substr(2)));
      last_number_ = std::max(last_number_, static_cast<std::uint64_t>(number));
      ready_.push_back(static_cast<std::uint64_t>(number));
      ++waiting_;
    }
    if (rows.size() < load_page) return {};
    after = rows.back().key;
  }
}

void Outbox::start() {
  started_ = true;
  pump();
}

io::Task<void> Outbox::close() {
  closing_ = true;
  if (timer_) loop_.cancel_timer(*timer_);
  timer_.reset();
  co_await tasks_.close();
}

std::uint64_t Outbox::next_number() {
  auto now = static_cast<std::uint64_t>(epoch_millis(loop_.clock().wall())) << number_shift;
  last_number_ = std::max(last_number_ + 1, now);
  return last_number_;
}

void Outbox::put(std::uint64_t number, const Bucket& bucket, const Happening& what, std::string arn,
                 std::string payload, store::Batch& batch) const {
  Json row = Json::object({{"arn", std::move(arn)},
                           {"bucket", bucket.name},
                           {"account", bucket.owner.str()},
                           {"at", what.at_ms},
                           {"payload", std::move(payload)}});
  if (!what.trace_header.empty()) row["trace"] = what.trace_header;
  row["detail_type"] = detail_type(what);
  batch.puts.push_back({row_key(number), row.dump()});
}

Result<std::vector<std::uint64_t>> Outbox::add(const Bucket& bucket, const Happening& what,
                                               const Object& object, store::Batch& batch) {
  std::vector<std::uint64_t> out;
  if (bucket.notifications.empty()) return out;
  if (waiting_ >= limits::notifications_waiting) {
    return fail(ErrorKind::throttled, "too many notifications are waiting; try again later");
  }
  std::uint64_t sequencer = next_number();
  for (const auto& rule : bucket.notifications.rules) {
    if (!wants(rule, what.event, object.key)) continue;
    out.push_back(next_number());
    put(out.back(), bucket, what, rule.arn, event_message(bucket, rule, what, object, sequencer),
        batch);
  }
  if (bucket.notifications.event_bus) {
    out.push_back(next_number());
    put(out.back(), bucket, what,
        fmt::format("arn:aws:events:{}:{}:event-bus/default", bucket.region.str(),
                    bucket.owner.str()),
        event_detail(bucket, what, object, sequencer), batch);
  }
  return out;
}

void Outbox::go(const std::vector<std::uint64_t>& numbers) {
  waiting_ += numbers.size();
  ready_.insert(ready_.end(), numbers.begin(), numbers.end());
  pump();
}

void Outbox::pump() {
  while (started_ && !closing_ && !ready_.empty() && running_ < limits::notifications_at_once) {
    auto number = ready_.front();
    ready_.pop_front();
    ++running_;
    tasks_.spawn(run(number));
  }
}

io::Task<void> Outbox::run(std::uint64_t number) {
  // Not inside the call whose change is told of, which is to be answered first.
  co_await loop_.turn_end();
  bool done = co_await deliver(number);
  --running_;
  if (closing_) co_return;  // the next start finds it, delivered or not
  if (done) {
    forget(number);
  } else {
    again(number);
  }
  pump();
}

io::Task<bool> Outbox::deliver(std::uint64_t number) {
  auto row = store_.get(row_key(number));
  if (!row) co_return false;
  if (!*row) co_return true;
  auto json = wire::parse_json((*row)->value);
  if (!json) co_return true;
  auto delivery = delivery_of(*json);
  if (!delivery) co_return true;
  std::string arn = delivery->arn;
  auto outcome = co_await switchboard_.push(*std::move(delivery));
  if (outcome) co_return true;
  auto age = std::chrono::milliseconds(now_ms() - json->int_or("at", 0));
  if (may_pass(outcome.error()) && age < limits::notification_age_max) co_return false;
  log::warn("s3", "a notification of the bucket {} for {} was dropped: {}",
            json->string_or("bucket"), arn, outcome.error().message);
  co_return true;
}

void Outbox::again(std::uint64_t number) {
  int failed = attempts_[number]++;
  constexpr int most_doublings = 16;
  auto wait = std::min<std::chrono::milliseconds>(
      limits::notification_backoff_first * (1 << std::min(failed, most_doublings)),
      limits::notification_backoff_max);
  due_.emplace(now_ms() + wait.count(), number);
  arm();
}

void Outbox::forget(std::uint64_t number) {
  --waiting_;
  attempts_.erase(number);
  forgotten_.push_back(number);
  if (!std::exchange(writing_, true)) tasks_.spawn(write_forgotten());
}

// Without waiting for the disk: what a crash brings back is delivered again.
io::Task<void> Outbox::write_forgotten() {
  while (!forgotten_.empty()) {
    co_await loop_.turn_end();
    store::Batch batch;
    for (auto number : std::exchange(forgotten_, {})) batch.deletes.push_back(row_key(number));
    auto done = co_await store_.commit(std::move(batch), store::Durability::buffered);
    if (!done) log::error("s3", "notifications cannot be forgotten: {}", done.error().message);
  }
  writing_ = false;
}

void Outbox::arm() {
  if (closing_ || due_.empty()) return;
  if (timer_) loop_.cancel_timer(*timer_);
  timer_ = loop_.add_platform_timer(from_epoch_millis(due_.begin()->first), [this] { fire(); });
}

void Outbox::fire() {
  timer_.reset();
  std::int64_t now = now_ms();
  while (!due_.empty() && due_.begin()->first <= now) {
    ready_.push_back(due_.begin()->second);
    due_.erase(due_.begin());
  }
  pump();
  arm();
}

}  // namespace mayfly::services::s3
