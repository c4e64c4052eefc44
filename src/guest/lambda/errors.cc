#include "guest/lambda/errors.h"

#include <algorithm>

#include "wire/json.h"

namespace mayfly::guest {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alpha(char c) { return is_upper(c) || (c >= 'a' && c <= 'z'); }

}  // namespace

std::string checked_error_type(std::string_view reported) {
  constexpr std::string_view runtime = "Runtime.";
  constexpr std::string_view function = "Function.";
  bool of_runtime = reported.starts_with(runtime);
  std::string_view name = of_runtime                       ? reported.substr(runtime.size())
                          : reported.starts_with(function) ? reported.substr(function.size())
                                                           : std::string_view{};
  if (name.size() >= 2 && is_upper(name[0]) && std::ranges::all_of(name, is_alpha)) {
    return std::string(reported);
  }
  return of_runtime ? "Runtime.Unknown" : "Function.Unknown";
}

Error response_too_large(std::size_t limit) {
  return Error{
      ErrorKind::too_large,
      fmt::format("Response payload size exceeded maximum allowed payload size ({} bytes).", limit),
      "Function.ResponseSizeTooLarge"};
}

std::string error_json(std::string_view type, std::string_view message) {
  return fmt::format(R"({{"errorMessage":{},"errorType":{}}})", wire::json_quoted(message),
                     wire::json_quoted(type));
}

}  // namespace mayfly::guest
