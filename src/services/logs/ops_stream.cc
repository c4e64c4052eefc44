// Log streams.
#include "services/logs/service.h"

namespace mayfly::services::logs {

namespace model = api::logs;

namespace {

constexpr std::size_t default_page = 50;

// What DescribeLogStreams sorts by; a token is the position of the last stream answered.
struct Position {
  std::int64_t last_event_ms = -1;  // streams without events come first
  std::string name;
  auto operator<=>(const Position&) const = default;
};

std::string token_of(const Position& position) {
  return fmt::format("{}@{}", position.last_event_ms, position.name);
}

std::optional<Position> parse_token(std::string_view token) {
  auto end = token.find('@');
  if (end == token.npos) return std::nullopt;
  Position position;
  std::string digits(token.substr(0, end));
  char* stop = nullptr;
  position.last_event_ms = std::strtoll(digits.c_str(), &stop, 10);
  if (digits.empty() || *stop != '\0') return std::nullopt;
  position.name = std::string(token.substr(end + 1));
  return position;
}

model::LogStream describe(const Scope& scope, std::string_view group,
                          const telemetry::LogStream& stream) {
  model::LogStream out;
  out.set_log_stream_name(stream.name)
      .set_creation_time(stream.created_ms)
      .set_arn(fmt::format("{}:log-stream:{}", group_arn(scope, group), stream.name))
      .set_stored_bytes(0);  // the cloud answers 0 since June 2019
  if (stream.first_event_ms) out.set_first_event_timestamp(*stream.first_event_ms);
  if (stream.last_event_ms) out.set_last_event_timestamp(*stream.last_event_ms);
  if (stream.last_ingestion_ms) out.set_last_ingestion_time(*stream.last_ingestion_ms);
  return out;
}

}  // namespace

Answer create_log_stream(Deps deps, api::Call& call, wire::Record input) {
  model::CreateLogStreamRequest in(std::move(input));
  std::string group(*in.log_group_name());
  std::string name(*in.log_stream_name());
  if (deps.logs.find_group(call.scope, group) == nullptr) {
    co_return std::unexpected(no_such_group());
  }
  auto there = deps.logs.find_stream(call.scope, group, name);
  if (!there) co_return std::unexpected(api_error(there.error()));
  if (*there) {
    co_return std::unexpected(
        model::resource_already_exists_exception("The specified log stream already exists"));
  }
  auto done = co_await deps.logs.create_stream(call.scope, group, name);
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

Answer delete_log_stream(Deps deps, api::Call& call, wire::Record input) {
  model::DeleteLogStreamRequest in(std::move(input));
  std::string group(*in.log_group_name());
  std::string name(*in.log_stream_name());
  if (deps.logs.find_group(call.scope, group) == nullptr) {
    co_return std::unexpected(no_such_group());
  }
  CO_TRY(require_stream(deps, call.scope, group, name));
  auto done = co_await deps.logs.delete_stream(call.scope, group, name);
  if (!done) co_return std::unexpected(api_error(done.error()));
  co_return wire::Record();
}

Answer describe_log_streams(Deps deps, api::Call& call, wire::Record input) {
  model::DescribeLogStreamsRequest in(std::move(input));
  CO_TRY_ASSIGN(auto group,
                resolve_group(deps, call.scope, in.log_group_name(), in.log_group_identifier()));
  bool by_time = in.order_by().value_or("LogStreamName") == "LastEventTime";
  std::string_view prefix = in.log_stream_name_prefix().value_or("");
  if (by_time && !prefix.empty()) {
    co_return std::unexpected(model::invalid_parameter_exception(
        "Cannot order by LastEventTime with a logStreamNamePrefix."));
  }
  bool descending = in.descending().value_or(false);
  std::optional<Position> after;
  if (in.next_token()) {
    after = parse_token(*in.next_token());
    if (!after) {
      co_return std::unexpected(
          model::invalid_parameter_exception("The specified nextToken is invalid."));
    }
  }
  auto limit = static_cast<std::size_t>(in.limit().value_or(default_page));
  telemetry::LogStore::StreamQuery query{.prefix = std::string(prefix)};
  if (!by_time && !descending) {
    // As they lie: no more are read than the page shows, and one that tells of a next.
    if (after) query.after = after->name;
    query.limit = limit + 1;
  }
  auto streams = co_await deps.logs.streams(call.scope, group, std::move(query));
  if (!streams) co_return std::unexpected(api_error(streams.error()));
  std::vector<std::pair<Position, const telemetry::LogStream*>> found;
  for (const auto& stream : *streams) {
    Position position{by_time ? stream.last_event_ms.value_or(-1) : -1, stream.name};
    if (after && (descending ? position >= *after : position <= *after)) continue;
    found.emplace_back(std::move(position), &stream);
  }
  std::ranges::sort(found);
  if (descending) std::ranges::reverse(found);
  std::vector<model::LogStream> page;
  for (std::size_t i = 0; i < std::min(limit, found.size()); ++i) {
    page.push_back(describe(call.scope, group, *found[i].second));
  }
  model::DescribeLogStreamsResponse out;
  if (found.size() > page.size()) out.set_next_token(token_of(found[page.size() - 1].first));
  out.set_log_streams(std::move(page));
  co_return std::move(out).take();
}

}  // namespace mayfly::services::logs
