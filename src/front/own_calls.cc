#include "front/own_calls.h"

#include "front/resource.h"
#include "wire/named.h"
#include "wire/text.h"
#include "wire/validate.h"

namespace mayfly::front {

namespace {

using Refusal = std::unexpected<api::ApiError>;

// SDKs identify services by names of their own, where the table has those that requests are signed
// with.
constexpr auto other_names = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"eventbridge", "events"},
    {"cloudwatchevents", "events"},
    {"cloudwatchlogs", "logs"},
    {"sfn", "states"},
});

}  // namespace

void OwnCalls::add(api::Service service) {
  std::string name(service.model->name);
  services_.insert_or_assign(std::move(name), std::move(service));
}

api::ApiResult<OwnCalls::Found> OwnCalls::find(std::string_view service,
                                               std::string_view operation) const {
  std::string name = wire::to_lower(service);
  for (auto [sdk, signing] : other_names) {
    if (name == sdk) name = signing;
  }
  auto at = services_.find(name);
  if (at == services_.end()) {
    return Refusal(api::ApiError{
        "NotImplementedException",
        501,
        fmt::format("This server has no service '{}', and so no {}.", service, operation),
        false,
        {}});
  }
  for (const api::Operation& row : at->second.model->operations) {
    bool same = row.name.size() == operation.size() && !operation.empty() &&
                wire::iequals(row.name.substr(0, 1), operation.substr(0, 1)) &&
                row.name.substr(1) == operation.substr(1);
    if (!same) continue;
    if (!at->second.handlers.contains(row.name)) {
      return Refusal(api::not_implemented(name, row.name));
    }
    return Found{&at->second, &row};
  }
  return Refusal(
      api::validation(fmt::format("The service {} has no action {}.", service, operation)));
}

api::ApiResult<void> OwnCalls::check(std::string_view service, std::string_view operation) const {
  TRY(find(service, operation));
  return {};
}

api::ApiResult<OwnCalls::Ready> OwnCalls::prepare(api::OwnCall own) const {
  TRY_ASSIGN(auto found, find(own.service, own.operation));
  const api::Operation& operation = *found.operation;
  wire::Record input;
  if (operation.input != nullptr) {
    auto json = wire::parse_json(own.input.empty() ? "{}" : own.input);
    auto record = json ? wire::record_of_names(*operation.input, *json)
                       : Result<wire::Record>(std::unexpected(std::move(json.error())));
    if (!record) return Refusal(api::validation(std::move(record.error().message)));
    input = *std::move(record);
    if (!found.service->checks_input) {
      if (auto valid = wire::validate(input); !valid) {
        return Refusal(api::validation(std::move(valid.error().message)));
      }
    }
  }
  Resource resource = resource_of(*found.service, operation, input, own.scope);
  auto decision = guard_->authorize({.caller = own.caller,
                                     .action = operation.action,
                                     .resource = resource.arn,
                                     .resource_account = resource.account,
                                     .source_arn = {},
                                     .function_url_auth_type = {}});
  if (!decision.allowed) return Refusal(api::access_denied(std::move(decision.reason)));
  return Ready{
      .handler = &found.service->handlers.find(operation.name)->second,
      .input = std::move(input),
      .call = std::make_unique<api::Call>(api::Call{.operation = operation,
                                                    .caller = std::move(own.caller),
                                                    .scope = std::move(own.scope),
                                                    .request_id = RequestId(random_.uuid4()),
                                                    .host = "localhost"})};
}

io::Task<api::ApiResult<wire::Record>> OwnCalls::call(api::OwnCall own) {
  CO_TRY_ASSIGN(auto ready, prepare(std::move(own)));
  co_return co_await (*ready.handler)(*ready.call, std::move(ready.input));
}

io::Task<api::ApiResult<api::OwnStream>> OwnCalls::open(api::OwnCall own) {
  CO_TRY_ASSIGN(auto ready, prepare(std::move(own)));
  if (!ready.call->operation.streams_output) {
    co_return Refusal(
        api::validation(fmt::format("{} answers no stream.", ready.call->operation.name)));
  }
  auto output = co_await (*ready.handler)(*ready.call, std::move(ready.input));
  if (!output) co_return Refusal(std::move(output.error()));
  co_return api::OwnStream{*std::move(output), std::move(ready.call)};
}

}  // namespace mayfly::front
