#include "base/result.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace mayfly {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid: return "invalid";
    case ErrorKind::not_found: return "not_found";
    case ErrorKind::already_exists: return "already_exists";
    case ErrorKind::conflict: return "conflict";
    case ErrorKind::too_large: return "too_large";
    case ErrorKind::throttled: return "throttled";
    case ErrorKind::unauthenticated: return "unauthenticated";
    case ErrorKind::denied: return "denied";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::cancelled: return "cancelled";
    case ErrorKind::unavailable: return "unavailable";
    case ErrorKind::unimplemented: return "unimplemented";
    case ErrorKind::corrupt: return "corrupt";
    case ErrorKind::internal: return "internal";
  }
  return "internal";
}

std::unexpected<Error> fail_errno(std::string_view what, int error_number) {
  ErrorKind kind = ErrorKind::unavailable;
  if (error_number == ENOENT) kind = ErrorKind::not_found;
  if (error_number == EEXIST) kind = ErrorKind::already_exists;
  if (error_number == EACCES || error_number == EPERM) kind = ErrorKind::denied;
  return fail(kind, fmt::format("{}: {}", what, std::strerror(error_number)));
}

}  // namespace mayfly
