#include "services/scheduler/courier.h"

#include "guard/push.h"
#include "wire/hash.h"
#include "wire/text.h"

namespace mayfly::services::scheduler {

using wire::Json;

namespace {

constexpr std::string_view principal = "scheduler.amazonaws.com";

std::string time_text(std::int64_t seconds) { return wire::format_iso8601(seconds * 1000); }

// User guide, "Adding context attributes".
void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

// An id in the form of a UUID that is the same for every attempt of a run.
std::string event_id(const Run& run) {
  std::string hash = wire::sha256_hex(run.ref.arn() + run.id);
  return fmt::format("{}-{}-4{}-8{}-{}", hash.substr(0, 8), hash.substr(8, 4), hash.substr(13, 3),
                     hash.substr(17, 3), hash.substr(20, 12));
}

// What a target without an input gets. Its detail is a text, as the cloud sends it.
Json notification(const Run& run) {
  return Json::object({{"version", "0"},
                       {"id", event_id(run)},
                       {"detail-type", "Scheduled Event"},
                       {"source", "aws.scheduler"},
                       {"account", run.ref.scope.account.str()},
                       {"time", time_text(run.at)},
                       {"region", run.ref.scope.region.str()},
                       {"resources", Json::array({run.ref.arn()})},
                       {"detail", "{}"}});
}

// The codes by which the services name what went wrong.
std::string code_of(const Error& error, std::string_view service) {
  switch (error.kind) {
    case ErrorKind::not_found:
      return service == "sqs"   ? "AWS.SimpleQueueService.NonExistentQueue"
             : service == "sns" ? "NotFound"
                                : "ResourceNotFoundException";
    case ErrorKind::denied: return service == "sqs" ? "AccessDenied" : "AccessDeniedException";
    case ErrorKind::invalid:
      return service == "sqs"      ? "InvalidParameterValue"
             : service == "lambda" ? "InvalidRequestContentException"
                                   : "ValidationException";
    case ErrorKind::too_large:
      return service == "lambda" ? "RequestEntityTooLargeException" : "InvalidParameterValue";
    case ErrorKind::throttled:
      return service == "lambda" ? "TooManyRequestsException" : "ThrottlingException";
    case ErrorKind::unimplemented: return "NotImplementedException";
    default: return "InternalServiceError";
  }
}

bool is_final(ErrorKind kind) {
  return kind == ErrorKind::invalid || kind == ErrorKind::too_large ||
         kind == ErrorKind::unimplemented;
}

// Of an operation: what its input alone is to blame for.
bool is_final(const api::ApiError& error) {
  std::string_view code = error.code;
  return error.http_status == 501 || code.starts_with("Validation") ||
         code.starts_with("Serialization") || code.starts_with("InvalidParameter") ||
         code.starts_with("MissingParameter") || code.starts_with("MissingRequired");
}

events::Sender sender_of(const Run& run, const Target& target) {
  return {.service = std::string(principal),
          .source_arn = run.ref.arn(),
          .account = run.ref.scope.account,
          .role_arn = target.role_arn};
}

}  // namespace

std::string_view name_of(Step step) {
  switch (step) {
    case Step::attempted: return "attempted";
    case Step::target_error: return "target_error";
    case Step::throttled: return "throttled";
    case Step::dropped: return "dropped";
    case Step::dead_lettered: return "dead_lettered";
    case Step::dead_letter_failed: return "dead_letter_failed";
  }
  return {};
}

std::string payload_of(const Run& run, const Target& target) {
  if (!target.input) return notification(run).dump();
  std::string out = *target.input;
  replace_all(out, "<aws.scheduler.schedule-arn>", run.ref.arn());
  replace_all(out, "<aws.scheduler.scheduled-time>", time_text(run.at));
  replace_all(out, "<aws.scheduler.execution-id>", run.id);
  replace_all(out, "<aws.scheduler.attempt-number>", fmt::format("{}", run.attempt));
  return out;
}

io::Task<std::optional<Failure>> Courier::deliver(Run run, Target target) const {
  if (auto universal = parse_universal(target.arn)) {
    co_return co_await call(std::move(run), std::move(target), *std::move(universal));
  }
  auto service = std::string(events::service_of_arn(target.arn));
  events::Delivery delivery{.arn = target.arn,
                            .payload = payload_of(run, target),
                            .sender = sender_of(run, target),
                            .trace_header = {},
                            .group_id = target.message_group,
                            .wait = run.alone && service == "lambda"};
  if (service == "events") {
    // A bus makes an event of it, with the input as its detail.
    delivery.attributes = {{"source", "String", target.source},
                           {"detail-type", "String", target.detail_type},
                           {"resources", "String", Json::array({run.ref.arn()}).dump()}};
  }
  auto done = co_await switchboard_.push(std::move(delivery));
  if (done && done->kind == events::Outcome::Kind::function_error) {
    constexpr std::size_t shown = 1024;
    co_return Failure{.code = done->error_type.empty() ? "FunctionError" : done->error_type,
                      .message = done->payload.substr(0, shown),
                      .of_function = true};
  }
  if (done) co_return std::nullopt;
  co_return Failure{.code = code_of(done.error(), service),
                    .message = done.error().message,
                    .final = is_final(done.error().kind),
                    .throttled = done.error().kind == ErrorKind::throttled};
}

io::Task<std::optional<Failure>> Courier::call(Run run, Target target,
                                               UniversalTarget universal) const {
  api::OwnCall own{.service = std::move(universal.service),
                   .operation = std::move(universal.action),
                   .input = target.input ? payload_of(run, target) : "{}",
                   .caller = guard::caller_of(sender_of(run, target)),
                   .scope = run.ref.scope};
  auto done = co_await calls_.call(std::move(own));
  if (done) co_return std::nullopt;
  std::string_view code = done.error().code;
  co_return Failure{.code = done.error().code,
                    .message = done.error().message,
                    .final = is_final(done.error()),
                    .throttled = done.error().http_status == 429 || code.starts_with("Throttl")};
}

// User guide, "Configuring a schedule's dead-letter queue".
io::Task<Result<>> Courier::bury(Run run, Target target, Failure failure,
                                 std::string exhausted) const {
  std::string body = payload_of(run, target);
  std::vector<events::Attribute> attributes;
  auto add = [&](std::string name, std::string value) {
    // A queue takes no empty ones.
    if (!value.empty()) attributes.push_back({std::move(name), "String", std::move(value)});
  };
  add("ERROR_CODE", failure.code);
  add("ERROR_MESSAGE", failure.message);
  add("EXECUTION_ID", run.id);
  add("EXHAUSTED_RETRY_CONDITION", std::move(exhausted));
  add("RETRY_ATTEMPTS", fmt::format("{}", run.attempt - 1));
  add("SCHEDULED_TIME", time_text(run.at));
  add("SCHEDULE_ARN", run.ref.arn());
  add("TARGET_ARN", target.arn);
  constexpr std::size_t room = 16 * limits::kib;  // for the attributes
  bool truncated = body.size() > limits::sqs_message_bytes - room;
  if (truncated) {
    std::size_t size = limits::sqs_message_bytes - room;
    while (size > 0 && (static_cast<unsigned char>(body[size]) & 0xC0) == 0x80) --size;
    body.resize(size);
  }
  add("IS_PAYLOAD_TRUNCATED", truncated ? "true" : "false");
  events::Delivery delivery{.arn = target.dead_letter_arn,
                            .payload = std::move(body),
                            .sender = sender_of(run, target),
                            .trace_header = {},
                            .attributes = std::move(attributes)};
  CO_TRY(co_await switchboard_.push(std::move(delivery)));
  co_return Result<>{};
}

}  // namespace mayfly::services::scheduler
