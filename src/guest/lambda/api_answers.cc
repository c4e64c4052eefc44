#include "guest/lambda/api_answers.h"

#include "base/limits.h"
#include "guest/lambda/errors.h"
#include "wire/json.h"
#include "wire/text.h"

namespace mayfly::guest {
namespace {

constexpr std::string_view error_cause_type = "application/vnd.aws.lambda.error.cause+json";

// A header value on one line.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

// The body of an error in the form that carries an X-Ray cause beside it: without the cause.
std::string without_cause(const std::string& body) {
  auto parsed = wire::parse_json(body);
  if (!parsed || !parsed->is_object()) return "\"Invalid error body\"";
  wire::JsonObject kept;
  for (std::string_view key : {"errorMessage", "errorType", "stackTrace"}) {
    if (const auto* value = parsed->find(key)) kept.add(std::string(key), *value);
  }
  return wire::Json(std::move(kept)).dump();
}

// The runtime's own text is no error document, and a caller reads one.
InvokeReply error_reply(std::string_view type, std::string_view message) {
  return {.is_error = true,
          .payload = error_json(type, message),
          .content_type = "application/json",
          .error_type = std::string(type)};
}

Taken too_large(std::size_t limit) {
  return {std::unexpected(response_too_large(limit)),
          error_answer(413, "RequestEntityTooLarge",
                       fmt::format("Exceeded maximum allowed payload size ({} bytes).", limit))};
}

// What the trailers of a streamed answer say.
std::optional<InvokeReply> failed_stream(const ApiRequest& request) {
  if (request.trailer_error_type.empty() && request.trailer_error_body.empty()) {
    return std::nullopt;
  }
  return InvokeReply{.is_error = true,
                     .payload = wire::base64_decode(request.trailer_error_body).value_or(""),
                     .content_type = "application/json",
                     .error_type = checked_error_type(request.trailer_error_type)};
}

}  // namespace

ApiAnswer error_answer(int status, std::string_view type, std::string_view message) {
  return {.status = status, .fields = {}, .body = error_json(type, message)};
}

ApiAnswer accepted() { return {.status = 202, .fields = {}, .body = "{\"status\":\"OK\"}\n"}; }

ApiAnswer event_answer(const InvokeRequest& event) {
  ApiAnswer out{.status = 200, .fields = {}, .body = event.payload};
  auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) out.fields.emplace_back(name, one_line(value));
  };
  add("Lambda-Runtime-Aws-Request-Id", event.request_id);
  add("Lambda-Runtime-Deadline-Ms", fmt::format("{}", event.deadline_epoch_ms));
  add("Lambda-Runtime-Invoked-Function-Arn", event.invoked_function_arn);
  add("Lambda-Runtime-Trace-Id", event.trace_header);
  add("Lambda-Runtime-Client-Context", event.client_context);
  add("Lambda-Runtime-Cognito-Identity", event.cognito_identity);
  add("Lambda-Runtime-Aws-Tenant-Id", event.tenant_id);
  return out;
}

std::optional<Taken> take_unknown_mode(const ApiRequest& request) {
  if (request.response_mode.empty() || request.response_mode == "streaming") return std::nullopt;
  constexpr std::string_view text = "Invalid function response mode";
  return Taken{error_reply("Runtime.InvalidResponseModeHeader", text),
               error_answer(400, "InvalidFunctionResponseMode", text)};
}

Taken take_response(ApiRequest request, AnswerStream* to, std::uint64_t streamed,
                    const AnswerBounds& bounds) {
  bool streams = request.response_mode == "streaming";
  bool passed_on = streams && to != nullptr;
  if (request.truncated) {
    return {error_reply("Runtime.TruncatedResponse", "Response from the runtime was truncated"),
            error_answer(400, "TruncatedHTTPRequest", "HTTP request detected as truncated")};
  }
  if (request.oversized || (passed_on && streamed > bounds.streamed)) {
    return too_large(passed_on ? bounds.streamed : bounds.whole);
  }
  InvokeReply reply;
  if (auto failed = failed_stream(request)) {
    reply = *std::move(failed);
  } else {
    reply.payload = std::move(request.body);
    reply.content_type =
        request.content_type.empty() ? "application/json" : std::move(request.content_type);
    if (passed_on) {
      to->begin(reply.content_type);
      to->flow.end();
    }
  }
  reply.streamed = streams;
  return {std::move(reply), accepted()};
}

Taken take_error(ApiRequest request, const AnswerBounds& bounds) {
  if (request.oversized) return too_large(bounds.whole);
  InvokeReply reply;
  reply.is_error = true;
  reply.error_type = checked_error_type(request.error_type);
  bool with_cause = request.content_type == error_cause_type;
  reply.payload = with_cause ? without_cause(request.body) : std::move(request.body);
  reply.content_type =
      with_cause || request.content_type.empty() ? "application/json" : request.content_type;
  return {std::move(reply), accepted()};
}

void push_piece(AnswerStream& to, const ApiRequest& request, std::string_view bytes,
                std::uint64_t& streamed, const AnswerBounds& bounds) {
  to.begin(request.content_type.empty() ? "application/octet-stream" : request.content_type);
  streamed += bytes.size();
  if (streamed > bounds.streamed) {
    to.flow.break_off(response_too_large(bounds.streamed));
  }
  to.flow.push(bytes);
}

}  // namespace mayfly::guest
