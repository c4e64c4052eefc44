#include "services/events/target.h"

#include "base/limits.h"
#include "guard/push.h"
#include "wire/text.h"

namespace mayfly::services::bus {

namespace {

std::string attribute(const events::Delivery& delivery, std::string_view name) {
  for (const auto& one : delivery.attributes) {
    if (one.name == name) return one.value;
  }
  return {};
}

Result<BusEvent> new_event(const events::Delivery& delivery, const BusRef& bus, std::string id,
                           std::int64_t now_ms) {
  auto source = attribute(delivery, "source");
  auto detail_type = attribute(delivery, "detail-type");
  if (source.empty() || detail_type.empty()) {
    return fail(ErrorKind::invalid, "an event needs a source and a detail-type");
  }
  std::vector<std::string_view> resources;
  auto list = wire::parse_json(attribute(delivery, "resources"));
  if (list && list->is_array()) {
    for (const auto& one : *list->as<wire::JsonArray>()) resources.push_back(one.string_value());
  }
  auto time = wire::parse_iso8601(attribute(delivery, "time"));
  return make_event({.id = std::move(id),
                     .detail_type = detail_type,
                     .source = source,
                     .scope = {delivery.sender.account, bus.scope.region},
                     .time_ms = time ? *time : now_ms,
                     .resources = std::move(resources),
                     .detail = delivery.payload});
}

model::HttpParameters parameters_of(const events::Delivery& delivery) {
  constexpr std::string_view header = "header.";
  constexpr std::string_view query = "query.";
  std::vector<std::string> path;
  std::map<std::string, std::string> headers;
  std::map<std::string, std::string> queries;
  for (const auto& one : delivery.attributes) {
    if (one.name == "path") path.push_back(one.value);
    if (one.name.starts_with(header)) headers[one.name.substr(header.size())] = one.value;
    if (one.name.starts_with(query)) queries[one.name.substr(query.size())] = one.value;
  }
  model::HttpParameters out;
  out.set_path_parameter_values(std::move(path));
  out.set_header_parameters(headers).set_query_string_parameters(queries);
  return out;
}

bool is_destination(std::string_view arn) { return !name_in_arn(arn, "api-destination").empty(); }

}  // namespace

io::Task<Result<events::Outcome>> EventTarget::call(events::Delivery delivery) {
  CO_TRY(
      guard::may_push(deps_.guard, delivery.sender, "events:InvokeApiDestination", delivery.arn));
  if (deps_.http.reserve(delivery.arn) > epoch_millis(deps_.loop.clock().platform())) {
    co_return fail(ErrorKind::throttled, "the rate of the API destination is reached");
  }
  HttpCall call{.arn = delivery.arn,
                .payload = std::move(delivery.payload),
                .parameters = parameters_of(delivery)};
  CO_TRY_ASSIGN(auto body, co_await deps_.http.call(std::move(call), {}));
  events::Outcome out;
  if (delivery.wait) out.payload = std::move(body);
  co_return out;
}

Result<BusRef> EventTarget::allowed(std::string_view arn, const events::Sender& sender) const {
  auto ref = parse_bus_arn(arn);
  if (!ref) return fail(ErrorKind::invalid, fmt::format("{} is no event bus", arn));
  if (!deps_.config.find_bus(*ref)) {
    return fail(ErrorKind::not_found, fmt::format("there is no event bus {}", arn));
  }
  // Rules pass on within their account without asking.
  bool own = sender.service == principal && sender.role_arn.empty() &&
             sender.account == ref->scope.account;
  // So do the cloud's services, to the default bus of the account whose resource it is.
  own = own || (sender.service == "s3.amazonaws.com" && sender.role_arn.empty() &&
                sender.account == ref->scope.account && ref->name == "default");
  if (!own) TRY(guard::may_push(deps_.guard, sender, "events:PutEvents", arn));
  return *std::move(ref);
}

Result<> EventTarget::check(std::string_view arn, const events::Sender& sender) {
  if (is_destination(arn)) {
    return guard::may_push(deps_.guard, sender, "events:InvokeApiDestination", arn);
  }
  auto ref = allowed(arn, sender);
  if (!ref) return std::unexpected(std::move(ref.error()));
  return {};
}

io::Task<Result<events::Outcome>> EventTarget::push(events::Delivery delivery) {
  if (is_destination(delivery.arn)) co_return co_await call(std::move(delivery));
  CO_TRY_ASSIGN(auto bus, allowed(delivery.arn, delivery.sender));
  std::int64_t now = epoch_millis(deps_.loop.clock().platform());
  auto hops = wire::parse_int(attribute(delivery, "hops"));
  Publication out{.origin = {.bus = bus,
                             .ingested_ms = now,
                             .trace = delivery.trace_header,
                             .hops = hops ? static_cast<int>(*hops) : 0},
                  .event = {}};
  if (out.origin.hops > limits::events_hops) {
    co_return fail(ErrorKind::invalid,
                   fmt::format("the event has come by more than {} buses", limits::events_hops),
                   "THIRD_ACCOUNT_HOP_DETECTED");
  }
  bool passed_on = delivery.sender.service == principal;
  if (!passed_on && delivery.payload.size() > limits::events_put_bytes) {
    co_return fail(ErrorKind::too_large,
                   fmt::format("an event may have {} bytes", limits::events_put_bytes));
  }
  auto event = passed_on ? read_event(std::move(delivery.payload))
                         : new_event(delivery, bus, deps_.random.uuid4(), now);
  if (!event) co_return fail(ErrorKind::invalid, std::move(event.error().message));
  out.event = *std::move(event);
  std::vector<Publication> one;
  one.push_back(std::move(out));
  CO_TRY(co_await deps_.router.publish(std::move(one)));
  co_return events::Outcome{};
}

}  // namespace mayfly::services::bus
