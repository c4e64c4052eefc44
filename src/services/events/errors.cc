#include "services/events/errors.h"

namespace mayfly::services::bus {

Refusal invalid(std::string message) { return Refusal(api::validation(std::move(message))); }

Refusal not_found(std::string message) {
  return Refusal(model::resource_not_found_exception(std::move(message)));
}

Refusal exists(std::string message) {
  return Refusal(model::resource_already_exists_exception(std::move(message)));
}

Refusal over_limit(std::string_view what, std::size_t most) {
  return Refusal(model::limit_exceeded_exception(fmt::format(
      "The requested resource exceeds the maximum number allowed: {} {}.", most, what)));
}

Refusal bad_pattern(const Error& why) {
  return Refusal(model::invalid_event_pattern_exception(
      fmt::format("Event pattern is not valid. Reason: {}", why.message)));
}

Refusal no_bus(std::string_view name) {
  return not_found(fmt::format("Event bus {} does not exist.", name));
}

Refusal failure(const Error& error) {
  switch (error.kind) {
    case ErrorKind::invalid:
    case ErrorKind::too_large: return invalid(error.message);
    case ErrorKind::not_found: return not_found(error.message);
    case ErrorKind::conflict:
      return Refusal(model::concurrent_modification_exception(error.message));
    default: return Refusal(model::internal_exception(error.message));
  }
}

}  // namespace mayfly::services::bus
