#include "invoke/failure.h"

#include <csignal>

#include "invoke/invoker.h"
#include "wire/json.h"

namespace mayfly::invoke {
namespace {

// As the Go runtime prints what the C library capitalises.
std::string lower_first(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] + 32);
  return out;
}

// What the kernel said, behind the names of steps.
std::string cause_of(const Error& error) {
  std::string_view cause(error.message);
  cause.remove_prefix(cause.rfind(": ") == cause.npos ? 0 : cause.rfind(": ") + 2);
  return lower_first(cause);
}

}  // namespace

// Names as the Go runtime prints signals, which is what the cloud's error texts show.
std::string signal_name(int number) {
  switch (number) {
    case SIGKILL: return "killed";
    case SIGTERM: return "terminated";
    case SIGSEGV: return "segmentation fault";
    case SIGABRT: return "aborted";
    case SIGBUS: return "bus error";
    case SIGFPE: return "floating point exception";
    case SIGILL: return "illegal instruction";
    case SIGTRAP: return "trace/breakpoint trap";
    case SIGHUP: return "hangup";
    case SIGINT: return "interrupt";
    case SIGQUIT: return "quit";
    case SIGPIPE: return "broken pipe";
    case SIGSYS: return "bad system call";
    default: return fmt::format("signal {}", number);
  }
}

Failure timed_out(Duration limit) {
  return {.outcome = InvocationOutcome::timeout,
          .error_type = "Sandbox.Timedout",
          .message = fmt::format("Task timed out after {:.2f} seconds",
                                 std::chrono::duration<double>(limit).count()),
          .payload = {},
          .status = Status::timeout};
}

Failure exited(const sandbox::Exit& exit) {
  Failure out{.outcome = InvocationOutcome::crash,
              .error_type = "Runtime.ExitError",
              .message = "Runtime exited without providing a reason",
              .payload = {},
              .status = Status::error};
  if (exit.out_of_memory) {
    out.outcome = InvocationOutcome::out_of_memory;
    out.error_type = "Runtime.OutOfMemory";
    out.message = "Runtime exited with error: signal: killed";
  } else if (exit.signal != 0) {
    out.message = "Runtime exited with error: signal: " + signal_name(exit.signal);
  } else if (exit.code > 0) {
    out.message = fmt::format("Runtime exited with error: exit status {}", exit.code);
  }
  return out;
}

Failure init_failed(std::string error_type, std::string payload) {
  if (error_type.empty()) error_type = "Runtime.Unknown";
  return {.outcome = InvocationOutcome::init_error,
          .error_type = std::move(error_type),
          .message = "",
          .payload = std::move(payload),
          .status = Status::error};
}

Failure platform_failed(std::string message) {
  return {.outcome = InvocationOutcome::platform_error,
          .error_type = "Sandbox.Failure",
          .message = std::move(message),
          .payload = {},
          .status = Status::error};
}

std::string exec_failed(std::string_view program, const Error& error) {
  return fmt::format("fork/exec {}: {}", program, cause_of(error));
}

Failure invalid_working_directory(std::string_view directory, const Error& error) {
  return {.outcome = InvocationOutcome::crash,
          .error_type = "Runtime.InvalidWorkingDir",
          .message = fmt::format("chdir {}: {}", directory, cause_of(error)),
          .payload = {},
          .status = Status::error};
}

Failure invalid_entrypoint(const std::string& program, const Error& error) {
  // The second place that is looked at: there is no bootstrap anywhere.
  bool nowhere = error.kind == ErrorKind::not_found && program == "/opt/bootstrap";
  return {.outcome = InvocationOutcome::crash,
          .error_type = "Runtime.InvalidEntrypoint",
          .message = nowhere
                         ? "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
                         : exec_failed(program, error),
          .payload = {},
          .status = Status::error};
}

Error restore_timed_out() {
  return {ErrorKind::timeout, "Lambda couldn't restore the snapshot within the timeout limit.",
          "SnapStartTimeoutException"};
}

Error restore_failed() {
  return {ErrorKind::unavailable,
          "The afterRestore() runtime hook encountered an error. For more information, check the "
          "Amazon CloudWatch logs.",
          "SnapStartException"};
}

std::optional<Error> restore_error(const Runnable& runnable, const Failure& failure) {
  if (!runnable.snap_start) return std::nullopt;
  if (failure.error_type == after_restore_error) return restore_failed();
  if (failure.error_type == after_restore_timeout) return restore_timed_out();
  return std::nullopt;
}

std::string render(const Failure& failure, std::string_view request_id) {
  if (!failure.payload.empty()) return failure.payload;
  return fmt::format(
      "{{\"errorType\":{},\"errorMessage\":{}}}", wire::json_quoted(failure.error_type),
      wire::json_quoted(fmt::format("RequestId: {} Error: {}", request_id, failure.message)));
}

std::string log_line(const Failure& failure, std::string_view request_id, WallTime now) {
  if (failure.outcome == InvocationOutcome::init_error) return {};  // the runtime has logged it
  if (failure.status == Status::timeout) {
    return fmt::format("{} {} {}", iso_millis(now), request_id, failure.message);
  }
  return fmt::format("RequestId: {} Error: {}\n{}", request_id, failure.message,
                     failure.error_type);
}

std::string too_large_payload(std::string_view message) {
  return fmt::format("{{\"errorType\":\"Function.ResponseSizeTooLarge\",\"errorMessage\":{}}}",
                     wire::json_quoted(message));
}

}  // namespace mayfly::invoke
