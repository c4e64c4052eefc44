#include "services/sns/errors.h"

namespace mayfly::services::sns {

Refusal invalid(std::string_view what) {
  return Refusal(model::invalid_parameter_exception(fmt::format("Invalid parameter: {}", what)));
}

Refusal invalid(std::string_view name, std::string_view why) {
  return invalid(fmt::format("{} Reason: {}", name, why));
}

Refusal no_topic() { return Refusal(model::not_found_exception("Topic does not exist")); }

Refusal no_subscription() {
  return Refusal(model::not_found_exception("Subscription does not exist"));
}

Refusal not_allowed(std::string_view why) {
  return Refusal(model::authorization_error_exception(fmt::format("Not authorized: {}", why)));
}

Refusal not_built(std::string_view what) {
  return Refusal(api::ApiError{.code = "NotImplementedException",
                               .http_status = 501,
                               .message = fmt::format("{} not implemented by this server.", what),
                               .sender_fault = false,
                               .detail = {}});
}

api::ApiError api_error(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found: return no_topic().error();
    case ErrorKind::invalid:
    case ErrorKind::too_large: return invalid(error.message).error();
    case ErrorKind::throttled: return model::throttled_exception(error.message);
    case ErrorKind::denied: return not_allowed(error.message).error();
    case ErrorKind::unavailable:
      return {.code = "ServiceUnavailable",
              .http_status = 503,
              .message = error.message,
              .sender_fault = false,
              .detail = {}};
    default: return model::internal_error_exception(error.message);
  }
}

ApiResult<void> check_required(const api::Operation& operation, const wire::Record& input) {
  if (operation.input == nullptr) return {};
  for (std::size_t i = 0; i < operation.input->members.size(); ++i) {
    const auto& member = operation.input->members[i];
    if (member.required && !input.has(i)) return invalid(member.name, "it must be given");
  }
  return {};
}

}  // namespace mayfly::services::sns
