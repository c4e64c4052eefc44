// Result<T>: a value or an Error. Rooms speak the closed, protocol-neutral ErrorKind; only the
// doorway (services/ and front/) maps a kind to a dialect's code and status.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace mayfly {

enum class ErrorKind {
  invalid,  // the caller's input is wrong
  not_found,
  already_exists,
  conflict,   // the state moved under the caller (revision, concurrent change)
  too_large,  // a named limit was exceeded
  throttled,  // refused by admission; may be tried again
  unauthenticated,
  denied,
  timeout,  // a deadline passed
  cancelled,
  unavailable,  // a peer or resource is not there (closed socket, no room on the disk)
  unimplemented,
  corrupt,   // stored or received data fails its checks
  internal,  // a defect of ours
};

std::string_view to_string(ErrorKind kind);

// `message` is written for the person who reads it: what is wrong and with what; no trailing dot.
// `reason` is an optional machine-readable detail (for example "ResourceConflictException:…").
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
  std::string reason;
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string reason = {}) {
  return std::unexpected<Error>(Error{kind, std::move(message), std::move(reason)});
}

// `unavailable` (or a closer kind) with the text of errno; `what` names the step that failed.
std::unexpected<Error> fail_errno(std::string_view what, int error_number);

}  // namespace mayfly

#define MAYFLY_CONCAT_(a, b) a##b
#define MAYFLY_CONCAT(a, b) MAYFLY_CONCAT_(a, b)

// TRY(expr): returns the error of a Result<> expression from the enclosing function.
// TRY_ASSIGN(auto x, expr): the same, else moves the value into the declaration.
// CO_TRY / CO_TRY_ASSIGN: the same inside a coroutine (the expression may hold co_await).
#define MAYFLY_TRY_IMPL(ret, tmp, expr)          \
  if (auto tmp = (expr); !tmp) {                 \
    ret std::unexpected(std::move(tmp).error()); \
  }
#define MAYFLY_TRY_ASSIGN_IMPL(ret, tmp, decl, expr)     \
  auto tmp = (expr);                                     \
  if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)
#define TRY(expr) MAYFLY_TRY_IMPL(return, MAYFLY_CONCAT(try_, __LINE__), expr)
#define CO_TRY(expr) MAYFLY_TRY_IMPL(co_return, MAYFLY_CONCAT(try_, __LINE__), expr)
#define TRY_ASSIGN(decl, expr) \
  MAYFLY_TRY_ASSIGN_IMPL(return, MAYFLY_CONCAT(try_, __LINE__), decl, expr)
#define CO_TRY_ASSIGN(decl, expr) \
  MAYFLY_TRY_ASSIGN_IMPL(co_return, MAYFLY_CONCAT(try_, __LINE__), decl, expr)
