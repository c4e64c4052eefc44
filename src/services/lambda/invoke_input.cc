#include "services/lambda/invoke_input.h"

#include "base/limits.h"
#include "services/lambda/json_scan.h"
#include "services/lambda/service.h"
#include "services/lambda/text.h"

namespace mayfly::lambda {

ApiResult<void> check_payload(std::string_view payload) {
  auto fault = scan_json(payload);
  if (!fault) return {};
  std::size_t line = 1;
  std::size_t column = 1;
  for (char c : payload.substr(0, fault->at)) {
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n';
  }
  return refuse(model::invalid_request_content_exception(fmt::format(
      "Could not parse request body into json: Could not parse payload into json: {} at "
      "[line: {}, column: {}]",
      fault->what, line, column)));
}

ApiResult<std::string> read_client_context(std::optional<std::string_view> text) {
  if (!text || text->empty()) return std::string();
  if (text->size() > limits::client_context_bytes) {
    return refuse(model::invalid_request_content_exception(fmt::format(
        "Client context must be no more than {} bytes.", limits::client_context_bytes)));
  }
  auto decoded = from_base64(*text);
  if (!decoded || scan_json(*decoded)) {
    return refuse(model::invalid_request_content_exception(
        "Client context must be a valid Base64-encoded JSON object."));
  }
  return *decoded;
}

// What the invoker fails with, as this API names it.
api::ApiError platform_error(const Error& error) {
  if (auto named = by_reason(error)) return *std::move(named);
  switch (error.kind) {
    case ErrorKind::throttled: return throttled(error.reason);
    case ErrorKind::invalid: return model::invalid_runtime_exception(error.message);
    case ErrorKind::not_found: return resource_not_found(error.message);
    default: return model::service_exception(error.message);
  }
}

}  // namespace mayfly::lambda
