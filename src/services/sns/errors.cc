#include "services/sns/errors.h"

namespace mayfly::services::sns {

Refusal invalid(std::string_view what) {
  return Refusal(model::invalid_parameter_exception(fmt::format("Invalid parameter: {}", what)));
}

Refusal invalid(std::string_view name, std::string_view why) {
  return invalid(fmt::format("{} Reason: {}", name, why));
}

Refusal not_given(std::string_view name) { return invalid(name, "it must be given"); }

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
    case ErrorKind::unavailable: return api::service_unavailable(error.message);
    default: return model::internal_error_exception(error.message);
  }
}

}  // namespace mayfly::services::sns
