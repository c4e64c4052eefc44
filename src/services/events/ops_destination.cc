// API destinations: the HTTP endpoints that rules may have as targets.
#include "base/limits.h"
#include "io/url.h"
#include "services/events/service.h"

namespace mayfly::services::bus {

namespace {

using Row = Table<ApiDestination>::Row;

Refusal no_destination(std::string_view name) {
  return not_found(fmt::format("An api-destination '{}' does not exist.", name));
}

template <class Request>
ApiResult<void> take_settings(const Context& context, const Request& in,
                              model::DescribeApiDestinationResponse& about) {
  if (auto arn = in.connection_arn()) {
    if (!context.config.find_connection(*arn)) {
      return not_found(fmt::format("Connection '{}' does not exist.", *arn));
    }
    about.set_connection_arn(std::string(*arn));
  }
  if (auto endpoint = in.invocation_endpoint()) {
    std::string url(*endpoint);
    std::ranges::replace(url, '*', 'x');
    if (auto read = io::parse_url(url); !read) {
      return invalid(fmt::format("Parameter InvocationEndpoint is not valid. Reason: {}.",
                                 read.error().message));
    }
    about.set_invocation_endpoint(std::string(*endpoint));
  }
  if (auto method = in.http_method()) about.set_http_method(std::string(*method));
  if (auto text = in.description()) about.set_description(std::string(*text));
  if (auto rate = in.invocation_rate_limit_per_second()) {
    about.set_invocation_rate_limit_per_second(*rate);
  }
  return {};
}

// As its connection is.
model::DescribeApiDestinationResponse described(const Context& context,
                                                const ApiDestination& destination) {
  auto out = copy_of(destination.about);
  auto connection = context.config.find_connection(out.connection_arn().value_or(""));
  bool active = connection && connection->about.connection_state() == "AUTHORIZED";
  out.set_api_destination_state(active ? "ACTIVE" : "INACTIVE");
  return out;
}

Answer create_api_destination(Context context, api::Call& call, wire::Record input) {
  model::CreateApiDestinationRequest in(std::move(input));
  auto made = std::make_shared<ApiDestination>();
  made->scope = call.scope;
  std::string name(in.name().value_or(""));
  made->about.set_name(name)
      .set_api_destination_arn(
          arn_of(call.scope, "api-destination", fmt::format("{}/{}", name, context.random.uuid4())))
      .set_invocation_rate_limit_per_second(limits::events_api_rate)
      .set_creation_time(context.now_s())
      .set_last_modified_time(context.now_s());
  CO_TRY(take_settings(context, in, made->about));
  if (context.config.destinations.count(key_of(call.scope, "")) >=
      limits::events_api_destinations) {
    co_return over_limit("API destinations", limits::events_api_destinations);
  }
  CO_TRY(co_await context.config.destinations.change(
      made->key(), [&](const Row& now) -> ApiResult<Row> {
        if (now) return exists(fmt::format("An api-destination '{}' already exists.", name));
        return made;
      }));
  co_return summary_of<model::CreateApiDestinationResponse>(described(context, *made)).take();
}

Answer update_api_destination(Context context, api::Call& call, wire::Record input) {
  model::UpdateApiDestinationRequest in(std::move(input));
  std::string name(in.name().value_or(""));
  CO_TRY_ASSIGN(auto row, co_await context.config.destinations.change(
                              key_of(call.scope, name), [&](const Row& now) -> ApiResult<Row> {
                                if (!now) return no_destination(name);
                                auto next = std::make_shared<ApiDestination>(*now);
                                next->about = copy_of(now->about);
                                TRY(take_settings(context, in, next->about));
                                next->about.set_last_modified_time(context.now_s());
                                return next;
                              }));
  co_return summary_of<model::UpdateApiDestinationResponse>(described(context, *row)).take();
}

Answer describe_api_destination(Context context, api::Call& call, wire::Record input) {
  model::DescribeApiDestinationRequest in(std::move(input));
  auto row = context.config.destinations.find(key_of(call.scope, in.name().value_or("")));
  if (!row) co_return no_destination(in.name().value_or(""));
  co_return described(context, *row).take();
}

Answer list_api_destinations(Context context, api::Call& call, wire::Record input) {
  model::ListApiDestinationsRequest in(std::move(input));
  std::function<bool(const ApiDestination&)> wanted = [&](const ApiDestination& destination) {
    auto connection = in.connection_arn();
    return !connection || destination.about.connection_arn() == *connection;
  };
  CO_TRY_ASSIGN(auto page, page_of(context.config.destinations,
                                   key_of(call.scope, in.name_prefix().value_or("")),
                                   in.next_token(), in.limit(), wanted));
  std::vector<model::ApiDestination> found;
  for (const auto& row : page.rows) {
    found.push_back(summary_of<model::ApiDestination>(described(context, *row)));
  }
  model::ListApiDestinationsResponse out;
  out.set_api_destinations(std::move(found));
  if (page.next) out.set_next_token(*std::move(page.next));
  co_return std::move(out).take();
}

Answer delete_api_destination(Context context, api::Call& call, wire::Record input) {
  model::DeleteApiDestinationRequest in(std::move(input));
  std::string name(in.name().value_or(""));
  CO_TRY(co_await context.config.destinations.change(key_of(call.scope, name),
                                                     [&](const Row& now) -> ApiResult<Row> {
                                                       if (!now) return no_destination(name);
                                                       return nullptr;
                                                     }));
  co_return wire::Record();
}

}  // namespace

std::span<const Operation> destination_operations() {
  static constexpr std::array<Operation, 5> rows{
      {{"CreateApiDestination", create_api_destination},
       {"DeleteApiDestination", delete_api_destination},
       {"DescribeApiDestination", describe_api_destination},
       {"ListApiDestinations", list_api_destinations},
       {"UpdateApiDestination", update_api_destination}}};
  return rows;
}

}  // namespace mayfly::services::bus
