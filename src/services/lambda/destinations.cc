#include "services/lambda/destinations.h"

#include "base/limits.h"
#include "services/lambda/json_scan.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

namespace {

std::string_view condition_name(invoke::Ending::Condition condition) {
  switch (condition) {
    case invoke::Ending::Condition::success: return "Success";
    case invoke::Ending::Condition::retries_exhausted: return "RetriesExhausted";
    case invoke::Ending::Condition::event_age_exceeded: return "EventAgeExceeded";
    case invoke::Ending::Condition::zero_reserved_concurrency: return "ZeroReservedConcurrency";
  }
  return {};
}

// A function may answer what is no JSON; then it becomes a text.
std::string as_json(const std::string& payload) {
  if (payload.empty()) return "null";
  return scan_json(payload) ? json_quoted(payload) : payload;
}

// With the version or alias, "$LATEST" where the caller named none.
std::string qualified(std::string_view arn) {
  constexpr std::ptrdiff_t colons_of_a_qualified_arn = 7;
  bool has = std::ranges::count(arn, ':') >= colons_of_a_qualified_arn;
  return fmt::format("{}{}", arn, has ? "" : ":$LATEST");
}

std::string_view service_of(std::string_view arn) {
  for (int skipped = 0; skipped < 2; ++skipped) {
    auto colon = arn.find(':');
    if (colon == arn.npos) return {};
    arn.remove_prefix(colon + 1);
  }
  return arn.substr(0, arn.find(':'));
}

}  // namespace

ApiResult<void> check_destination(std::string_view arn, DestinationOf which, const FunctionRef& of,
                                  const functions::Registry& registry) {
  std::string_view service = service_of(arn);
  if (service == "s3" && which == DestinationOf::success) {
    return refuse(invalid(
        fmt::format("The destination ARN {} is invalid: a bucket takes failures alone.", arn)));
  }
  if (service != "lambda") {
    return refuse(
        invalid(fmt::format("The destination ARN {} is not valid: this server has no "
                            "service '{}' yet that could take the record; a Lambda function can.",
                            arn, service)));
  }
  auto to = parse_function(arn, "", of.scope);
  if (!to || to->scope != of.scope) {
    return refuse(invalid(fmt::format(
        "The destination ARN {} is invalid: a function of the same account and region can be one.",
        arn)));
  }
  if (to->name == of.name) {
    return refuse(invalid("You can't specify the function as a destination for itself."));
  }
  const auto* function = registry.find(to->scope, to->name);
  const auto& qualifier = to->qualifier;
  bool there = function && (qualifier.empty() || qualifier == "$LATEST" ||
                            function->aliases.contains(qualifier) ||
                            (is_version_number(qualifier) && qualifier.size() < 10 &&
                             function->versions.contains(std::stoi(qualifier))));
  if (there && function->latest.per_tenant) return refuse(no_tenants_with("Being a destination"));
  if (there) return {};
  return refuse(
      invalid(fmt::format("The destination ARN {} is invalid: there is no such function.", arn)));
}

std::string destination_record(const invoke::Ending& ending, WallTime now) {
  std::string out = fmt::format(
      R"({{"version":"1.0","timestamp":"{}","requestContext":{{"requestId":{},"functionArn":{},)"
      R"("condition":"{}","approximateInvokeCount":{}}},"requestPayload":{})",
      iso_millis(now, "Z"), json_quoted(ending.event.event.id.str()),
      json_quoted(qualified(ending.invoked_arn)), condition_name(ending.condition),
      ending.invocations, as_json(ending.event.event.payload));
  // An event that was given up without a last invocation has no response.
  if (const auto* outcome = ending.outcome) {
    out += fmt::format(R"(,"responseContext":{{"statusCode":200,"executedVersion":{})",
                       json_quoted(outcome->executed_version));
    if (outcome->kind == events::Outcome::Kind::function_error) {
      out += fmt::format(R"(,"functionError":{})", json_quoted(outcome->error_class));
    }
    out += fmt::format(R"(}},"responsePayload":{})", as_json(outcome->payload));
  }
  out += "}";
  return out;
}

Result<invoke::AsyncEvent> Service::hand_over(const invoke::Ending& ending,
                                              const std::string& arn) const {
  auto to = parse_function(arn, "", ending.event.scope);
  if (!to) return fail(ErrorKind::invalid, to.error().message);
  if (auto there = require_version(*to); !there) {
    return fail(ErrorKind::not_found, there.error().message);
  } else if ((*there)->per_tenant) {
    return fail(ErrorKind::invalid, arn + " isolates tenants, and a record names none");
  }
  invoke::AsyncEvent out{
      .scope = to->scope, .name = to->name, .qualifier = to->qualifier, .event = {}};
  auto chain = follow_chain(*to, ending.event.event.trace_header);
  if (!chain) return fail(ErrorKind::denied, chain.error().message);
  out.event.trace_header = std::move(*chain);
  out.event.id = RequestId(deps_.random.uuid4());
  out.event.payload = destination_record(ending, deps_.loop.clock().platform());
  if (out.event.payload.size() > limits::invoke_async_payload_bytes) {
    return fail(ErrorKind::too_large,
                fmt::format("the record for {} has {} bytes and may have {}", arn,
                            out.event.payload.size(), limits::invoke_async_payload_bytes));
  }
  return out;
}

invoke::Handover Service::handover_to(const std::string& arn) const {
  if (arn.empty()) return nullptr;
  return [this, arn](const invoke::Ending& ending) { return hand_over(ending, arn); };
}

}  // namespace mayfly::lambda
