#include "api/input.h"

namespace mayfly::api {

namespace {

io::Task<ApiResult<wire::Record>> refused(std::unexpected<ApiError> error) { co_return error; }

}  // namespace

std::string text_of(const wire::Record& input, std::string_view member) {
  int index = input.shape == nullptr ? -1 : input.index(member);
  if (index < 0) return {};
  const auto* text = input.at(static_cast<std::size_t>(index)).get<std::string>();
  return text == nullptr ? std::string() : *text;
}

std::string_view missing_member(const Operation& operation, const wire::Record& input) {
  if (operation.input == nullptr) return {};
  for (std::size_t i = 0; i < operation.input->members.size(); ++i) {
    const auto& member = operation.input->members[i];
    if (member.required && !input.has(i)) return member.name;
  }
  return {};
}

Handler requiring_members(Handler handler, std::unexpected<ApiError> (*refuse)(std::string_view)) {
  return [handler = std::move(handler), refuse](Call& call, wire::Record input) {
    auto missing = missing_member(call.operation, input);
    return missing.empty() ? handler(call, std::move(input)) : refused(refuse(missing));
  };
}

}  // namespace mayfly::api
