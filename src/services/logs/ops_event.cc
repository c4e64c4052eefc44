// Writing and reading log events.
#include "io/park.h"
#include "services/logs/service.h"
#include "wire/log_pattern.h"

namespace mayfly::services::logs {

namespace model = api::logs;

namespace {

using telemetry::LogEvent;
using telemetry::LogEventQuery;

constexpr std::int64_t batch_span_ms = 24LL * 60 * 60 * 1000;
// Events that FilterLogEvents reads at once; other tasks run between two such steps.
constexpr std::size_t scan_step = 2'000;

std::unexpected<api::ApiError> invalid(std::string message) {
  return std::unexpected(model::invalid_parameter_exception(std::move(message)));
}

api::ApiResult<void> check_batch(const std::vector<model::InputLogEvent>& events) {
  std::size_t bytes = 0;
  std::int64_t previous = 0;
  for (const auto& event : events) {
    std::size_t size = event.message()->size() + limits::log_event_overhead_bytes;
    if (size > limits::log_event_bytes) {
      return invalid(fmt::format("Log event too large: {} bytes exceeds limit of {}", size,
                                 limits::log_event_bytes));
    }
    bytes += size;
    if (*event.timestamp() < previous) {
      return invalid("Log events in a single PutLogEvents request must be in chronological order.");
    }
    previous = *event.timestamp();
  }
  if (bytes > limits::log_batch_bytes) {
    return invalid(fmt::format("Upload too large: {} bytes exceeds limit of {}", bytes,
                               limits::log_batch_bytes));
  }
  if (!events.empty() && previous - *events.front().timestamp() > batch_span_ms) {
    return invalid(
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
  }
  return {};
}

model::OutputLogEvent output_event(LogEvent event) {
  model::OutputLogEvent out;
  out.set_timestamp(event.time_ms)
      .set_ingestion_time(event.ingested_ms)
      .set_message(std::move(event.message));
  return out;
}

model::FilteredLogEvent filtered_event(LogEvent event) {
  model::FilteredLogEvent out;
  out.set_event_id(place_text(event.place()))
      .set_timestamp(event.time_ms)
      .set_ingestion_time(event.ingested_ms)
      .set_log_stream_name(std::move(event.stream))
      .set_message(std::move(event.message));
  return out;
}

// "f/DIGITS/s" goes on after a place, "b/DIGITS/s" before one.
std::string token_text(char direction, const store::LogPlace& place) {
  return fmt::format("{}/{}/s", direction, place_text(place));
}

struct Token {
  bool forward = true;
  store::LogPlace place;
};

std::optional<Token> parse_token(std::string_view text) {
  bool forward = text.starts_with("f/");
  if ((!forward && !text.starts_with("b/")) || !text.ends_with("/s") || text.size() < 4) {
    return std::nullopt;
  }
  auto place = parse_place(text.substr(2, text.size() - 4));
  if (!place) return std::nullopt;
  return Token{forward, *place};
}

// The streams that FilterLogEvents searches.
struct StreamChoice {
  std::set<std::string, std::less<>> names;
  std::string prefix;
  bool holds(std::string_view stream) const {
    return (names.empty() || names.contains(stream)) && stream.starts_with(prefix);
  }
};

}  // namespace

Answer put_log_events(Deps deps, api::Call& call, wire::Record input) {
  model::PutLogEventsRequest in(std::move(input));
  std::string group(*in.log_group_name());
  std::string stream(*in.log_stream_name());
  const auto* info = deps.logs.find_group(call.scope, group);
  if (info == nullptr) co_return std::unexpected(no_such_group());
  CO_TRY(require_stream(deps, call.scope, group, stream));
  auto events = in.log_events();
  CO_TRY(check_batch(events));
  std::vector<std::int64_t> times;
  times.reserve(events.size());
  for (const auto& event : events) times.push_back(*event.timestamp());
  std::int64_t now = epoch_millis(deps.loop.clock().platform());
  auto verdict = judge_times(times, now, info->retention_days);
  std::vector<telemetry::NewLogEvent> taken;
  for (std::size_t i = verdict.begin; i < verdict.end; ++i) {
    taken.push_back({times[i], std::string(*events[i].message())});
  }
  if (!taken.empty()) {
    auto done = co_await deps.logs.put_events(call.scope, group, stream, std::move(taken));
    if (!done) co_return std::unexpected(api_error(done.error()));
  }
  model::PutLogEventsResponse out;
  // Sequence tokens are not checked any more (since 2023), but SDKs of before still pass them on.
  out.set_next_sequence_token(place_text({now, 0}));
  model::RejectedLogEventsInfo rejected;
  if (verdict.too_old_end) {
    rejected.set_too_old_log_event_end_index(static_cast<std::int64_t>(*verdict.too_old_end));
  }
  if (verdict.expired_end) {
    rejected.set_expired_log_event_end_index(static_cast<std::int64_t>(*verdict.expired_end));
  }
  if (verdict.too_new_begin) {
    rejected.set_too_new_log_event_start_index(static_cast<std::int64_t>(*verdict.too_new_begin));
  }
  if (verdict.begin > 0 || verdict.too_new_begin) {
    out.set_rejected_log_events_info(std::move(rejected));
  }
  co_return std::move(out).take();
}

Answer get_log_events(Deps deps, api::Call& call, wire::Record input) {
  model::GetLogEventsRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group,
                resolve_group(deps, call.scope, in.log_group_name(), in.log_group_identifier()));
  std::string stream(*in.log_stream_name());
  CO_TRY(require_stream(deps, call.scope, group, stream));
  std::optional<Token> token;
  if (in.next_token()) {
    token = parse_token(*in.next_token());
    if (!token) co_return invalid("The specified nextToken is invalid.");
  }
  LogEventQuery query;
  query.stream = stream;
  query.from_ms = in.start_time().value_or(INT64_MIN);
  query.to_ms = in.end_time().value_or(INT64_MAX);
  query.limit = static_cast<std::size_t>(
      in.limit().value_or(static_cast<std::int64_t>(limits::log_page_events)));
  query.max_bytes = limits::log_page_bytes;
  query.descending = token ? !token->forward : !in.start_from_head().value_or(false);
  if (token) query.place = token->place;
  auto events = co_await deps.logs.events(call.scope, group, query);
  if (!events) co_return std::unexpected(api_error(events.error()));
  if (query.descending) std::ranges::reverse(*events);
  // At the end of the stream the same token comes back: that is how clients know.
  store::LogPlace first = token ? token->place : store::LogPlace{};
  store::LogPlace last = first;
  if (!events->empty()) {
    first = events->front().place();
    last = events->back().place();
  }
  std::vector<model::OutputLogEvent> page;
  page.reserve(events->size());
  for (auto& event : *events) page.push_back(output_event(std::move(event)));
  model::GetLogEventsResponse out;
  out.set_events(std::move(page))
      .set_next_forward_token(token_text('f', last))
      .set_next_backward_token(token_text('b', first));
  co_return std::move(out).take();
}

namespace {

api::ApiResult<StreamChoice> choose_streams(const Deps& deps, const Scope& scope,
                                            std::string_view group,
                                            const model::FilterLogEventsRequest& in) {
  StreamChoice choice;
  choice.prefix = std::string(in.log_stream_name_prefix().value_or(""));
  for (auto name : in.log_stream_names()) {
    if (!choice.prefix.empty()) {
      return invalid("logStreamNamePrefix and logStreamNames are mutually exclusive parameters.");
    }
    TRY(require_stream(deps, scope, group, name));
    choice.names.emplace(name);
  }
  return choice;
}

api::ApiResult<LogEventQuery> filter_query(const model::FilterLogEventsRequest& in,
                                           const StreamChoice& streams) {
  LogEventQuery query;
  query.from_ms = in.start_time().value_or(INT64_MIN);
  // An event at endTime itself is answered (API reference), unlike with GetLogEvents.
  if (in.end_time()) query.to_ms = *in.end_time() + 1;
  query.limit = scan_step;
  if (streams.names.size() == 1) query.stream = *streams.names.begin();
  if (in.next_token()) {
    query.place = parse_place(*in.next_token());
    if (!query.place) return invalid("The specified nextToken is invalid.");
  }
  return query;
}

}  // namespace

Answer filter_log_events(Deps deps, api::Call& call, wire::Record input) {
  model::FilterLogEventsRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group,
                resolve_group(deps, call.scope, in.log_group_name(), in.log_group_identifier()));
  CO_TRY_ASSIGN(auto streams, choose_streams(deps, call.scope, group, in));
  auto pattern = wire::LogPattern::parse(in.filter_pattern().value_or(""));
  if (!pattern) co_return invalid("Invalid filter pattern: " + pattern.error().message);
  CO_TRY_ASSIGN(auto query, filter_query(in, streams));
  auto limit = static_cast<std::size_t>(
      in.limit().value_or(static_cast<std::int64_t>(limits::log_page_events)));
  std::vector<model::FilteredLogEvent> page;
  std::size_t bytes = 0;
  std::size_t scanned = 0;
  bool full = false;
  while (!full && scanned < limits::log_scan_events) {
    auto events = co_await deps.logs.events(call.scope, group, query);
    if (!events) co_return std::unexpected(api_error(events.error()));
    if (events->empty()) {
      query.place.reset();  // the end: no token
      break;
    }
    for (auto& event : *events) {
      if (streams.holds(event.stream) && pattern->matches(event.message)) {
        bytes += event.message.size();
        full = page.size() == limit || (bytes > limits::log_page_bytes && !page.empty());
        if (full) break;  // this event begins the next page
        query.place = event.place();
        page.push_back(filtered_event(std::move(event)));
      } else {
        query.place = event.place();
      }
    }
    scanned += events->size();
    co_await io::sleep_for(deps.loop, Duration::zero());
  }
  model::FilterLogEventsResponse out;
  out.set_events(std::move(page)).set_searched_log_streams({});
  if (query.place) out.set_next_token(place_text(*query.place));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::logs
