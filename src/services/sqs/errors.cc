#include "services/sqs/errors.h"

namespace mayfly::services::sqs {

namespace {

// JSON names these by a type and the header by the code of the query protocol.
const wire::Shape text{.name = "String", .kind = wire::ShapeKind::string};
const wire::Member message_members[] = {
    {.name = "message", .shape = &text, .wire_name = "message"}};

wire::Shape error_shape(std::string_view name, std::string_view code) {
  return {.name = name,
          .kind = wire::ShapeKind::structure,
          .members = message_members,
          .http_status = 400,
          .error_code = code};
}

}  // namespace

Refusal invalid_parameter(std::string message) {
  static const auto shape = error_shape("InvalidParameterValueException", "InvalidParameterValue");
  return Refusal(api::make_error(shape, std::move(message)));
}

Refusal invalid_value(std::string_view value, std::string_view parameter, std::string_view reason) {
  return invalid_parameter(
      fmt::format("Value {} for parameter {} is invalid. Reason: {}", value, parameter, reason));
}

Refusal missing_parameter(std::string_view parameter) {
  static const auto shape = error_shape("MissingRequiredParameterException", "MissingParameter");
  return Refusal(
      api::make_error(shape, fmt::format("The request must contain the parameter {}.", parameter)));
}

Refusal no_such_queue() {
  return Refusal(model::queue_does_not_exist("The specified queue does not exist."));
}

Refusal unsupported(std::string message) {
  return Refusal(model::unsupported_operation(std::move(message)));
}

Refusal bad_attribute(std::string_view name, std::string_view reason) {
  std::string message = fmt::format("Invalid value for the parameter {}.", name);
  if (!reason.empty()) message += fmt::format(" Reason: {}", reason);
  return Refusal(model::invalid_attribute_value(std::move(message)));
}

api::ApiError api_error(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found: return no_such_queue().error();
    case ErrorKind::throttled:
    case ErrorKind::too_large: return model::over_limit(error.message);
    case ErrorKind::invalid: return invalid_parameter(error.message).error();
    case ErrorKind::unavailable: return api::service_unavailable(error.message);
    default: return api::internal_failure(error.message);
  }
}

}  // namespace mayfly::services::sqs
