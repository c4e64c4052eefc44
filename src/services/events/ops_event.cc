// Events put on buses, and patterns tried on events.
#include "base/limits.h"
#include "services/events/service.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

// As the cloud counts them (user guide, "Calculating PutEvents event entry size").
std::size_t size_of(const model::PutEventsRequestEntry& entry) {
  constexpr std::size_t time_bytes = 14;
  std::size_t out = entry.time() ? time_bytes : 0;
  out += entry.source().value_or("").size() + entry.detail_type().value_or("").size() +
         entry.detail().value_or("").size();
  for (auto resource : entry.resources()) out += resource.size();
  return out;
}

struct Problem {
  std::string code;
  std::string message;
};

Problem missing(std::string_view name) {
  return {"InvalidArgument", fmt::format("Parameter {0} is not valid. Reason: {0} is a required "
                                         "argument.",
                                         name)};
}

std::optional<Problem> problem_of(const model::PutEventsRequestEntry& entry) {
  auto source = entry.source().value_or("");
  if (source.empty()) return missing("Source");
  if (entry.detail_type().value_or("").empty()) return missing("DetailType");
  if (entry.detail().value_or("").empty()) return missing("Detail");
  if (source.starts_with("aws.")) {
    return Problem{"NotAuthorizedForSourceException", "Not authorized for the source."};
  }
  return std::nullopt;
}

// Another account's bus has to allow it.
std::optional<Problem> forbidden(const Context& context, const api::Call& call, const BusRef& bus) {
  if (bus.scope.account == call.caller.account) return std::nullopt;
  auto arn = bus.arn();
  auto decision = context.guard.authorize({.caller = call.caller,
                                           .action = "events:PutEvents",
                                           .resource = arn,
                                           .resource_account = bus.scope.account,
                                           .source_arn = {},
                                           .function_url_auth_type = {}});
  if (decision.allowed) return std::nullopt;
  return Problem{"AccessDeniedException", decision.reason};
}

std::expected<Publication, Problem> publication_of(const Context& context, const api::Call& call,
                                                   const model::PutEventsRequestEntry& entry,
                                                   std::string id) {
  if (auto problem = problem_of(entry)) return std::unexpected(*std::move(problem));
  auto bus = parse_bus(entry.event_bus_name().value_or(""), call.scope);
  if (!bus) {
    return std::unexpected(Problem{"InvalidArgument", "Parameter EventBusName is not valid."});
  }
  if (auto problem = forbidden(context, call, *bus)) return std::unexpected(*std::move(problem));
  std::int64_t now = context.now_ms();
  auto time = entry.time();
  auto event = make_event({.id = std::move(id),
                           .detail_type = *entry.detail_type(),
                           .source = *entry.source(),
                           .scope = {call.caller.account, bus->scope.region},
                           .time_ms = time ? static_cast<std::int64_t>(*time * 1000) : now,
                           .resources = entry.resources(),
                           .detail = *entry.detail()});
  if (!event) return std::unexpected(Problem{"MalformedDetail", "Detail is malformed."});
  std::string trace(entry.trace_header().value_or(call.trace_header));
  return Publication{
      .origin = {.bus = *std::move(bus), .ingested_ms = now, .trace = std::move(trace)},
      .event = *std::move(event)};
}

// Routes them, or, for an environment whose invocation holds its effects back, holds them back.
io::Task<Result<>> publish_or_hold(const Context& context, const api::Call& call,
                                   std::vector<Publication> events) {
  auto effects = context.effects != nullptr && call.from_function()
                     ? context.effects->find(call.instance)
                     : nullptr;
  if (!effects) co_return co_await context.router.publish(std::move(events));
  std::vector<mayfly::events::HeldEffect> held;
  for (const auto& event : events) held.push_back(BusEffects::of(event));
  co_return effects->hold(std::move(held));
}

Answer put_events(Context context, api::Call& call, wire::Record input) {
  model::PutEventsRequest in(std::move(input));
  if (in.endpoint_id()) {
    co_return Refusal(api::not_implemented("events", "PutEvents to a global endpoint"));
  }
  auto entries = in.entries();
  std::size_t bytes = 0;
  for (const auto& entry : entries) bytes += size_of(entry);
  if (bytes > limits::events_put_bytes) {
    co_return invalid("Total size of the entries in the request is over the limit.");
  }
  std::vector<Publication> events;
  std::vector<model::PutEventsResultEntry> results;
  std::int64_t failed = 0;
  for (const auto& entry : entries) {
    auto id = context.random.uuid4();
    model::PutEventsResultEntry result;
    auto event = publication_of(context, call, entry, id);
    if (!event) {
      ++failed;
      result.set_error_code(std::move(event.error().code));
      result.set_error_message(std::move(event.error().message));
    } else {
      // A bus that is not there takes events like any other, and nobody gets them.
      if (context.config.find_bus(event->origin.bus)) events.push_back(*std::move(event));
      result.set_event_id(std::move(id));
    }
    results.push_back(std::move(result));
  }
  if (auto done = co_await publish_or_hold(context, call, std::move(events)); !done) {
    co_return failure(done.error());
  }
  model::PutEventsResponse out;
  out.set_failed_entry_count(failed).set_entries(std::move(results));
  co_return std::move(out).take();
}

Answer test_event_pattern(Context, api::Call&, wire::Record input) {
  model::TestEventPatternRequest in(std::move(input));
  auto pattern = wire::EventPattern::parse(in.event_pattern().value_or(""));
  if (!pattern) co_return bad_pattern(pattern.error());
  auto event = wire::parse_json(in.event().value_or(""), {.depth = limits::events_detail_depth});
  if (!event || !event->is_object()) {
    co_return invalid("Parameter Event is not valid. Reason: it is no JSON object.");
  }
  for (auto name : {"id", "account", "source", "time", "region", "resources", "detail-type"}) {
    if (event->find(name) == nullptr) {
      co_return invalid(fmt::format("Parameter Event is not valid. Reason: {} is missing.", name));
    }
  }
  co_return model::TestEventPatternResponse().set_result(pattern->matches(*event)).record();
}

}  // namespace

std::span<const Operation> event_operations() {
  static constexpr std::array<Operation, 2> rows{
      {{"PutEvents", put_events}, {"TestEventPattern", test_event_pattern}}};
  return rows;
}

}  // namespace mayfly::services::bus
