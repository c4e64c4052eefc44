#include "events/switchboard.h"

#include <fmt/format.h>

namespace mayfly::events {

namespace {

// Counted from 0; empty where the ARN has no such part.
std::string_view part_of_arn(std::string_view arn, int number) {
  for (; number > 0; --number) {
    auto colon = arn.find(':');
    if (colon == arn.npos) return {};
    arn.remove_prefix(colon + 1);
  }
  return arn.substr(0, arn.find(':'));
}

}  // namespace

std::string_view service_of_arn(std::string_view arn) { return part_of_arn(arn, 2); }

Scope scope_of_arn(std::string_view arn) {
  return {AccountId(std::string(part_of_arn(arn, 4))), Region(std::string(part_of_arn(arn, 3)))};
}

namespace {

std::unexpected<Error> no_target(std::string_view arn) {
  return fail(ErrorKind::unimplemented,
              fmt::format("nothing can be pushed to {}: this server has no service '{}' that could "
                          "take it",
                          arn, service_of_arn(arn)));
}

}  // namespace

Target* Switchboard::target(std::string_view arn) const {
  auto found = targets_.find(service_of_arn(arn));
  return found == targets_.end() ? nullptr : found->second;
}

Result<> Switchboard::check(std::string_view arn, const Sender& sender) const {
  auto* to = target(arn);
  return to == nullptr ? no_target(arn) : to->check(arn, sender);
}

io::Task<Result<Outcome>> Switchboard::push(Delivery delivery) const {
  auto* to = target(delivery.arn);
  if (to == nullptr) co_return no_target(delivery.arn);
  co_return co_await to->push(std::move(delivery));
}

}  // namespace mayfly::events
