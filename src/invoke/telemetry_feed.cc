#include "invoke/telemetry_feed.h"

#include <fmt/format.h>

#include "guest/lambda/errors.h"
#include "invoke/telemetry_text.h"
#include "wire/json.h"

namespace mayfly::invoke {
namespace {

using guest::TelemetryForm;

// As much as one subscription buffers at the most.
constexpr std::size_t past_max_items = 10'000;
constexpr std::size_t past_max_bytes = std::size_t{1024} * 1024;

guest::SubscribeAnswer refusal(int status, TelemetryForm form, std::string_view type,
                               std::string_view message) {
  std::string_view api = form == TelemetryForm::logs ? "Logs." : "Telemetry.";
  return {status, guest::error_json(fmt::format("{}{}", api, type), message)};
}

bool fits(EventForm form, const Subscription& to) {
  bool logs = to.form == TelemetryForm::logs;
  switch (form) {
    case EventForm::both: return true;
    case EventForm::telemetry: return !logs;
    case EventForm::logs: return logs;
    case EventForm::logs_runtime_done: return logs && to.wants_runtime_done();
  }
  return false;
}

}  // namespace

void TelemetryFeed::add_sockets(std::vector<io::Fd> sockets) {
  for (auto& socket : sockets) {
    if (in_init_) sockets_.push_back(std::move(socket));
  }
}

guest::SubscribeAnswer TelemetryFeed::subscribe(const guest::Extension& extension,
                                                TelemetryForm form, std::string_view body) {
  auto subscription = read_subscription(form, body);
  if (!subscription) return refusal(400, form, "ValidationError", subscription.error().message);
  auto known = senders_.find(extension.name);
  if (known != senders_.end() && known->second->subscription().form != form) {
    return refusal(400, form, "ValidationError",
                   "The extension has subscribed by the other one of Telemetry API and Logs API");
  }
  std::vector<std::string> types = subscription->types;
  if (known != senders_.end()) {
    known->second->replace(*std::move(subscription));
    return {};
  }
  if (sockets_.empty()) {
    return refusal(500, form, "ServiceError", "No further subscription fits this environment");
  }
  auto sender = std::make_unique<TelemetrySender>(loop_, *std::move(subscription),
                                                  std::move(sockets_.back()));
  sockets_.pop_back();
  for (const auto& event : past_) offer(*sender, event);
  senders_.emplace(extension.name, std::move(sender));
  platform(subscription_event(form, extension.name, types, loop_.clock().platform()),
           form == TelemetryForm::logs ? EventForm::logs : EventForm::telemetry);
  if (on_subscribed) on_subscribed(form, extension.name, types);
  return {};
}

void TelemetryFeed::offer(TelemetrySender& sender, const Event& event) {
  const auto& to = sender.subscription();
  if (!to.wants(event.kind) || !fits(event.form, to)) return;
  sender.add(to.json_records() && !event.object_text.empty() ? event.object_text : event.text);
}

void TelemetryFeed::tell(Event event) {
  for (auto& [name, sender] : senders_) offer(*sender, event);
  if (!in_init_ || past_.size() >= past_max_items) return;
  past_bytes_ += event.text.size();
  if (past_bytes_ <= past_max_bytes) past_.push_back(std::move(event));
}

void TelemetryFeed::platform(std::string event, EventForm form) {
  if (!hears()) return;
  tell(
      {.kind = TelemetryKind::platform, .form = form, .text = std::move(event), .object_text = {}});
}

void TelemetryFeed::line(TelemetryKind kind, std::string_view text, WallTime time) {
  if (!hears()) return;
  auto with = [&](std::string_view record) {
    return fmt::format(R"({{"time":"{}","type":"{}","record":{}}})", iso_millis(time),
                       kind == TelemetryKind::function ? "function" : "extension", record);
  };
  Event event{.kind = kind,
              .form = EventForm::both,
              .text = with(wire::json_quoted(text)),
              .object_text = {}};
  if (json_logs_ && text.starts_with('{')) {
    auto parsed = wire::parse_json(text);
    if (parsed && parsed->is_object()) event.object_text = with(text);
  }
  tell(std::move(event));
}

void TelemetryFeed::end_init() {
  in_init_ = false;
  past_.clear();
  past_.shrink_to_fit();
  sockets_.clear();
}

void TelemetryFeed::flush() {
  for (auto& [name, sender] : senders_) sender->flush();
}

io::Task<void> TelemetryFeed::close() {
  for (auto& [name, sender] : senders_) co_await sender->close();
  senders_.clear();
}

}  // namespace mayfly::invoke
