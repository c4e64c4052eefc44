#include "services/scheduler/errors.h"

namespace mayfly::services::scheduler {

Refusal invalid(std::string message) {
  return Refusal(model::validation_exception(std::move(message)));
}

Refusal no_schedule(std::string_view name) {
  return Refusal(
      model::resource_not_found_exception(fmt::format("Schedule {} does not exist.", name)));
}

Refusal no_group(std::string_view name) {
  return Refusal(
      model::resource_not_found_exception(fmt::format("Schedule group {} does not exist.", name)));
}

Refusal not_built(std::string message) {
  return Refusal(api::ApiError{"NotImplementedException", 501, std::move(message), false, {}});
}

Refusal failure(const Error& error) {
  return Refusal(model::internal_server_exception(error.message));
}

}  // namespace mayfly::services::scheduler
