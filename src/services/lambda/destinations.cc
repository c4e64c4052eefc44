#include "services/lambda/destinations.h"

#include "base/limits.h"
#include "services/lambda/json_scan.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"
#include "wire/json.h"

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

api::ApiError bad_destination(std::string_view arn, std::string_view why) {
  return invalid(fmt::format("The destination ARN {} is invalid: {}.", arn, why));
}

ApiResult<void> check_function(std::string_view arn, const Destinations& by) {
  auto to = parse_function(arn, "", by.of.scope);
  if (!to || to->scope != by.of.scope) {
    return refuse(bad_destination(arn, "a function of the same account and region can be one"));
  }
  if (to->name == by.of.name) {
    return refuse(invalid("You can't specify the function as a destination for itself."));
  }
  const auto* function = by.registry.find(to->scope, to->name);
  const auto& qualifier = to->qualifier;
  bool there = function && (qualifier.empty() || qualifier == "$LATEST" ||
                            function->aliases.contains(qualifier) ||
                            (is_version_number(qualifier) && qualifier.size() < 10 &&
                             function->versions.contains(std::stoi(qualifier))));
  if (there && function->latest.per_tenant) return refuse(no_tenants_with("Being a destination"));
  if (there) return {};
  return refuse(bad_destination(arn, "there is no such function"));
}

// A resource of another service.
ApiResult<void> check_resource(std::string_view arn, const Destinations& by) {
  auto service = events::service_of_arn(arn);
  if (by.switchboard == nullptr || by.switchboard->target(arn) == nullptr) {
    return refuse(bad_destination(
        arn, fmt::format("this server has no service '{}' yet that could take it", service)));
  }
  if ((service == "sqs" || service == "sns") && arn.ends_with(".fifo")) {
    return refuse(bad_destination(arn, "a queue or topic with order cannot be one"));
  }
  auto taken = by.switchboard->check(arn, {.service = "lambda.amazonaws.com",
                                           .source_arn = by.of.unqualified_arn(),
                                           .account = by.of.scope.account,
                                           .role_arn = by.role_arn});
  if (taken) return {};
  return refuse(bad_destination(arn, taken.error().message));
}

// Where a bucket keeps a record (developer guide, "Capturing records of Lambda asynchronous
// invocations"): aws/lambda/async/NAME/2026/01/31/2026-01-31T10.20.30-UUID. It is said once, so
// that a record that is delivered again is the same object.
std::string record_key(const FunctionName& name, WallTime now, std::string_view uuid) {
  std::string time = iso_millis(now, "").substr(0, std::string_view("2026-01-31T10:20:30").size());
  std::string day = time.substr(0, std::string_view("2026-01-31").size());
  std::ranges::replace(time, ':', '.');
  std::ranges::replace(day, '-', '/');
  return fmt::format("aws/lambda/async/{}/{}/{}-{}", name.str(), day, time, uuid);
}

// What a function says went wrong, in its own words where it has some.
std::string error_message(const invoke::Ending& ending) {
  using enum invoke::Ending::Condition;
  std::string out;
  if (ending.condition == zero_reserved_concurrency) {
    out = "The function's reserved concurrency is 0.";
  } else if (ending.outcome == nullptr) {
    out = "The event is older than its maximum age.";
  } else if (auto json = wire::parse_json(ending.outcome->payload); json) {
    out = json->string_or("errorMessage");
  }
  // Within a character of UTF-8 nothing is cut.
  std::size_t most = limits::dead_letter_error_bytes;
  if (out.size() <= most) return out;
  while (most > 0 && (static_cast<unsigned char>(out[most]) & 0xc0) == 0x80) --most;
  return out.substr(0, most);
}

}  // namespace

ApiResult<void> check_destination(std::string_view arn, DestinationOf which,
                                  const Destinations& by) {
  auto service = events::service_of_arn(arn);
  if (service == "s3" && which == DestinationOf::success) {
    return refuse(bad_destination(arn, "a bucket takes failures alone"));
  }
  return service == "lambda" ? check_function(arn, by) : check_resource(arn, by);
}

ApiResult<void> check_dead_letter(std::string_view arn, const Destinations& by) {
  auto service = events::service_of_arn(arn);
  if (service != "sqs" && service != "sns") {
    return refuse(invalid(fmt::format(
        "The dead letter target {} is invalid: a standard queue or topic can be one.", arn)));
  }
  return check_resource(arn, by);
}

std::vector<events::Attribute> dead_letter_attributes(const invoke::Ending& ending) {
  using enum invoke::Ending::Condition;
  std::string_view code = "200";  // the invocation itself succeeded, the function failed
  if (ending.outcome == nullptr) code = "500";
  if (ending.condition == zero_reserved_concurrency) code = "429";
  std::vector<events::Attribute> out{
      {"RequestID", "String", ending.event.event.id.str()},
      {"ErrorCode", "Number", std::string(code)},
  };
  if (auto message = error_message(ending); !message.empty()) {
    out.push_back({"ErrorMessage", "String", std::move(message)});
  }
  return out;
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

invoke::AsyncEvent Service::outbound(const invoke::Ending& ending, const Resource& to) const {
  const auto& from = ending.event;
  invoke::AsyncEvent out{
      .scope = from.scope, .name = from.name, .qualifier = from.qualifier, .event = {}};
  out.event.id = RequestId(deps_.random.uuid4());
  out.event.trace_header = from.event.trace_header;
  out.outbound.emplace(
      invoke::Outbound{.arn = to.arn,
                       .source_arn = FunctionRef{from.scope, from.name, {}}.unqualified_arn(),
                       .role_arn = to.role_arn,
                       .attributes = {},
                       .subject = {}});
  return out;
}

invoke::Handover Service::handover_to(const std::string& arn, const std::string& role) const {
  if (arn.empty()) return nullptr;
  if (events::service_of_arn(arn) == "lambda") {
    return [this, arn](const invoke::Ending& ending) { return hand_over(ending, arn); };
  }
  return [this, to = Resource{arn, role}](const invoke::Ending& ending) {
    auto out = outbound(ending, to);
    WallTime now = deps_.loop.clock().platform();
    out.event.payload = destination_record(ending, now);
    if (events::service_of_arn(to.arn) == "s3") {
      out.outbound->subject = record_key(out.name, now, deps_.random.uuid4());
    }
    // What a bus says of the record (developer guide, "Capturing records of Lambda asynchronous
    // invocations"); nothing else reads them.
    if (events::service_of_arn(to.arn) == "events") {
      bool success = ending.condition == invoke::Ending::Condition::success;
      auto type =
          fmt::format("Lambda Function Invocation Result - {}", success ? "Success" : "Failure");
      auto resources =
          fmt::format("[{},{}]", json_quoted(qualified(ending.invoked_arn)), json_quoted(to.arn));
      out.outbound->attributes = {{"source", "String", "lambda"},
                                  {"detail-type", "String", std::move(type)},
                                  {"resources", "String", std::move(resources)}};
    }
    return Result<invoke::AsyncEvent>(std::move(out));
  };
}

invoke::Handover Service::dead_letter_to(const std::string& arn, const std::string& role) const {
  if (arn.empty()) return nullptr;
  return [this, to = Resource{arn, role}](const invoke::Ending& ending) {
    auto out = outbound(ending, to);
    out.event.payload = ending.event.event.payload;
    out.outbound->attributes = dead_letter_attributes(ending);
    return Result<invoke::AsyncEvent>(std::move(out));
  };
}

}  // namespace mayfly::lambda
